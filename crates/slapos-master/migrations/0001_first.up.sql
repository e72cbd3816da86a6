-- Column types are BIGINT and TEXT only, so that one query layer serves SQLite and PostgreSQL.
-- Times are microseconds since 1970 (UTC). Parameters are JSON objects of texts, sorted by key.

CREATE TABLE schema_migration (
    version BIGINT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at BIGINT NOT NULL
);

CREATE TABLE computer (
    reference TEXT NOT NULL PRIMARY KEY,
    address TEXT NOT NULL,
    netmask TEXT NOT NULL,
    formatted_at BIGINT
);

CREATE TABLE software (
    computer TEXT NOT NULL REFERENCES computer (reference),
    url TEXT NOT NULL,
    requested_state TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    reported_state TEXT,
    reported_message TEXT,
    reported_at BIGINT,
    PRIMARY KEY (computer, url)
);

CREATE TABLE computer_partition (
    computer TEXT NOT NULL REFERENCES computer (reference),
    reference TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (computer, reference)
);

CREATE TABLE partition_address (
    computer TEXT NOT NULL,
    partition_reference TEXT NOT NULL,
    position BIGINT NOT NULL,
    interface TEXT NOT NULL,
    address TEXT NOT NULL,
    netmask TEXT NOT NULL,
    PRIMARY KEY (computer, partition_reference, position),
    FOREIGN KEY (computer, partition_reference)
        REFERENCES computer_partition (computer, reference) ON DELETE CASCADE
);

-- The primary key is the promise that no partition ever holds two instances.
-- `root` is the title of the tree's root, and empty for a root itself.
CREATE TABLE instance (
    computer TEXT NOT NULL,
    partition_reference TEXT NOT NULL,
    title TEXT NOT NULL,
    root TEXT NOT NULL,
    software TEXT NOT NULL,
    software_type TEXT NOT NULL,
    requested_state TEXT NOT NULL,
    parameters TEXT NOT NULL,
    connection TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    reported_state TEXT,
    reported_message TEXT,
    reported_at BIGINT,
    PRIMARY KEY (computer, partition_reference),
    UNIQUE (root, title),
    FOREIGN KEY (computer, partition_reference)
        REFERENCES computer_partition (computer, reference) ON DELETE CASCADE
);

CREATE TABLE shared_instance (
    reference TEXT NOT NULL PRIMARY KEY,
    computer TEXT NOT NULL,
    partition_reference TEXT NOT NULL,
    title TEXT NOT NULL,
    root TEXT NOT NULL,
    software TEXT NOT NULL,
    software_type TEXT NOT NULL,
    parameters TEXT NOT NULL,
    connection TEXT NOT NULL,
    FOREIGN KEY (computer, partition_reference)
        REFERENCES instance (computer, partition_reference) ON DELETE CASCADE
);

CREATE INDEX shared_instance_host ON shared_instance (computer, partition_reference);
