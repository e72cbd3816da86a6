-- What nodes report as used, the last of each kind; and what other Masters are still to be asked to
-- destroy.

ALTER TABLE forwarded_request ADD COLUMN software_type TEXT NOT NULL DEFAULT '';

-- `used_by` is a partition, or what else the node counts for. Numbers are as they were written.
CREATE TABLE consumption (
    computer TEXT NOT NULL REFERENCES computer (reference) ON DELETE CASCADE,
    used_by TEXT NOT NULL,
    resource TEXT NOT NULL,
    title TEXT NOT NULL,
    quantity TEXT NOT NULL,
    start_date TEXT NOT NULL,
    stop_date TEXT NOT NULL,
    told_at BIGINT NOT NULL,
    PRIMARY KEY (computer, used_by, resource)
);

-- What trees that have ended asked other Masters for, by what it is called there.
CREATE TABLE farewell (
    master_url TEXT NOT NULL,
    title TEXT NOT NULL,
    shared BIGINT NOT NULL,
    software TEXT NOT NULL,
    software_type TEXT NOT NULL,
    project TEXT NOT NULL,
    root TEXT NOT NULL,
    tries BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    PRIMARY KEY (master_url, title, shared)
);

-- Who is silent is found by when he was heard of.
CREATE INDEX computer_contact_at ON computer_contact (contact_at, computer);
