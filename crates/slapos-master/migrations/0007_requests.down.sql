-- Back to titles that are unique everywhere: fails, and changes nothing, where two projects use the
-- same one. Requests that another Master serves are forgotten here; that Master keeps them.

DROP TABLE forwarded_request;
DROP TABLE offer;
DROP INDEX software_place;
ALTER TABLE computer DROP COLUMN capacity;
ALTER TABLE computer DROP COLUMN network;
ALTER TABLE computer DROP COLUMN labels;
ALTER TABLE computer DROP COLUMN allocation_scope;
ALTER TABLE computer DROP COLUMN title;

CREATE TABLE instance_anew (
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
    filter TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (computer, partition_reference),
    UNIQUE (root, title),
    FOREIGN KEY (computer, partition_reference)
        REFERENCES computer_partition (computer, reference) ON DELETE CASCADE
);
INSERT INTO instance_anew
    SELECT computer, partition_reference, title, root, software, software_type, requested_state,
        parameters, connection, changed_at, reported_state, reported_message, reported_at, filter
    FROM instance;

CREATE TABLE shared_anew (
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
        REFERENCES instance_anew (computer, partition_reference) ON DELETE CASCADE
);
INSERT INTO shared_anew
    SELECT reference, computer, partition_reference, title, root, software, software_type,
        parameters, connection
    FROM shared_instance;

DROP TABLE shared_instance;
DROP TABLE instance;
ALTER TABLE instance_anew RENAME TO instance;
ALTER TABLE shared_anew RENAME TO shared_instance;
CREATE INDEX shared_instance_host ON shared_instance (computer, partition_reference);
