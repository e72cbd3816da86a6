-- What nodes tell beside reports: when they were last heard of, how they are, how far a build is,
-- and what came of promises; and the one order in which all changes are told.

CREATE TABLE computer_contact (
    computer TEXT NOT NULL PRIMARY KEY REFERENCES computer (reference) ON DELETE CASCADE,
    contact_at BIGINT NOT NULL
);

-- `metrics` is a JSON object.
CREATE TABLE computer_metrics (
    computer TEXT NOT NULL PRIMARY KEY REFERENCES computer (reference) ON DELETE CASCADE,
    metrics TEXT NOT NULL,
    told_at BIGINT NOT NULL
);

-- `log` is the end of the last build's log.
CREATE TABLE build_progress (
    computer TEXT NOT NULL,
    url TEXT NOT NULL,
    done BIGINT NOT NULL,
    total BIGINT NOT NULL,
    part TEXT NOT NULL,
    log TEXT NOT NULL,
    told_at BIGINT NOT NULL,
    PRIMARY KEY (computer, url),
    FOREIGN KEY (computer, url) REFERENCES software (computer, url) ON DELETE CASCADE
);

CREATE TABLE promise (
    computer TEXT NOT NULL,
    partition_reference TEXT NOT NULL,
    name TEXT NOT NULL,
    failed BIGINT NOT NULL,
    message TEXT NOT NULL,
    checked_at BIGINT NOT NULL,
    PRIMARY KEY (computer, partition_reference, name),
    FOREIGN KEY (computer, partition_reference)
        REFERENCES instance (computer, partition_reference) ON DELETE CASCADE
);

-- `turned` is 1 where the result differs from the one before.
CREATE TABLE promise_result (
    computer TEXT NOT NULL,
    partition_reference TEXT NOT NULL,
    name TEXT NOT NULL,
    checked_at BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    turned BIGINT NOT NULL,
    microseconds BIGINT NOT NULL,
    PRIMARY KEY (computer, partition_reference, name, checked_at),
    FOREIGN KEY (computer, partition_reference, name)
        REFERENCES promise (computer, partition_reference, name) ON DELETE CASCADE
);

-- All changes in one order, without a counter that all writers would have to wait for: see
-- `store/feed.rs`. No row refers to another table, because what is gone has to be told too.
CREATE TABLE feed (
    transaction_number BIGINT NOT NULL,
    number BIGINT NOT NULL,
    kind TEXT NOT NULL,
    computer TEXT,
    partition_reference TEXT,
    software TEXT,
    state TEXT,
    tree TEXT,
    about TEXT,
    project TEXT NOT NULL,
    computer_project TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (transaction_number, number)
);
