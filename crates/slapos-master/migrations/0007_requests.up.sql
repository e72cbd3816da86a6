-- Titles are unique in their project, computers say what they may be used for, and `offer` says
-- which of them can take an instance of a Software Release, so that a request reads those only.
--
-- Constraints cannot be changed everywhere: the two tables are made anew. What refers to a table
-- follows it when it is renamed, so the former ones go first.

CREATE TABLE instance_anew (
    computer TEXT NOT NULL,
    partition_reference TEXT NOT NULL,
    project TEXT NOT NULL,
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
    filter TEXT NOT NULL,
    -- The instance that asked last, as `<computer>-<partition>`; empty when a user did.
    asked_by TEXT NOT NULL,
    -- Since when that instance does not ask for it any more.
    orphan_since BIGINT,
    -- When somebody wanted its services started anew.
    restart_at BIGINT,
    PRIMARY KEY (computer, partition_reference),
    UNIQUE (project, root, title),
    FOREIGN KEY (computer, partition_reference)
        REFERENCES computer_partition (computer, reference) ON DELETE CASCADE
);
INSERT INTO instance_anew
    SELECT computer, partition_reference, '', title, root, software, software_type,
        requested_state, parameters, connection, changed_at, reported_state, reported_message,
        reported_at, filter, '', NULL, NULL
    FROM instance;

CREATE TABLE shared_anew (
    reference TEXT NOT NULL PRIMARY KEY,
    computer TEXT NOT NULL,
    partition_reference TEXT NOT NULL,
    project TEXT NOT NULL,
    title TEXT NOT NULL,
    root TEXT NOT NULL,
    software TEXT NOT NULL,
    software_type TEXT NOT NULL,
    parameters TEXT NOT NULL,
    connection TEXT NOT NULL,
    asked_by TEXT NOT NULL,
    orphan_since BIGINT,
    UNIQUE (project, root, title),
    FOREIGN KEY (computer, partition_reference)
        REFERENCES instance_anew (computer, partition_reference) ON DELETE CASCADE
);
INSERT INTO shared_anew
    SELECT reference, computer, partition_reference, '', title, root, software, software_type,
        parameters, connection, '', NULL
    FROM shared_instance;

DROP TABLE shared_instance;
DROP TABLE instance;
ALTER TABLE instance_anew RENAME TO instance;
ALTER TABLE shared_anew RENAME TO shared_instance;
CREATE INDEX shared_instance_host ON shared_instance (computer, partition_reference);
CREATE INDEX instance_software ON instance (software, software_type, project, computer);

ALTER TABLE computer ADD COLUMN title TEXT NOT NULL DEFAULT '';
-- open, closed or drain
ALTER TABLE computer ADD COLUMN allocation_scope TEXT NOT NULL DEFAULT 'open';
-- A JSON object of texts.
ALTER TABLE computer ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE computer ADD COLUMN network TEXT NOT NULL DEFAULT '';
-- The most instances that it may hold; NULL: one for each partition.
ALTER TABLE computer ADD COLUMN capacity BIGINT;

-- A row for each Software Release that is wanted on a computer which is open and has room. It
-- follows from the other tables, and is made anew for a computer whenever one of them changes.
-- built: 2 it is there, 1 it is wanted, 0 it could not be built. free: how many more instances.
CREATE TABLE offer (
    computer TEXT NOT NULL REFERENCES computer (reference) ON DELETE CASCADE,
    software TEXT NOT NULL,
    project TEXT NOT NULL,
    built BIGINT NOT NULL,
    free BIGINT NOT NULL,
    PRIMARY KEY (computer, software)
);
CREATE INDEX software_place ON software (url, computer);
CREATE INDEX offer_order ON offer (software, project, built DESC, free DESC, computer);
INSERT INTO offer (computer, software, project, built, free)
    SELECT s.computer, s.url,
        (SELECT c.project FROM computer c WHERE c.reference = s.computer),
        CASE s.reported_state WHEN 'available' THEN 2 WHEN 'error' THEN 0 ELSE 1 END,
        (SELECT count(*) FROM computer_partition p LEFT JOIN instance i
            ON i.computer = p.computer AND i.partition_reference = p.reference
            WHERE p.computer = s.computer AND i.title IS NULL)
    FROM software s
    WHERE s.requested_state = 'available' AND EXISTS (
        SELECT 1 FROM computer_partition p LEFT JOIN instance i
            ON i.computer = p.computer AND i.partition_reference = p.reference
            WHERE p.computer = s.computer AND i.title IS NULL);

-- Requests that another Master serves, by what they are called here.
CREATE TABLE forwarded_request (
    project TEXT NOT NULL,
    root TEXT NOT NULL,
    title TEXT NOT NULL,
    shared BIGINT NOT NULL,
    master_url TEXT NOT NULL,
    -- What it is called there.
    forwarded_title TEXT NOT NULL,
    software TEXT NOT NULL,
    forwarded_at BIGINT NOT NULL,
    PRIMARY KEY (project, root, title, shared)
);
