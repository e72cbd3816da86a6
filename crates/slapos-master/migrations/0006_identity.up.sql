-- Who may do what: people, the projects they are members of, and what they, computers and partitions
-- prove themselves by. `computer.project` is whose a computer is; the empty one is the operator's.

ALTER TABLE computer ADD COLUMN project TEXT NOT NULL DEFAULT '';
CREATE INDEX computer_project ON computer (project);

CREATE TABLE person (
    name TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL
);

CREATE TABLE project (
    name TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL
);

CREATE TABLE member (
    project TEXT NOT NULL REFERENCES project (name) ON DELETE CASCADE,
    person TEXT NOT NULL REFERENCES person (name) ON DELETE CASCADE,
    PRIMARY KEY (project, person)
);
CREATE INDEX member_person ON member (person);

-- A token itself is nowhere: `digest` is its SHA-256 in hex, `id` is made of that and may be told.
-- Either `person` is set, or `computer`, perhaps with a partition of it.
CREATE TABLE token (
    id TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    person TEXT REFERENCES person (name) ON DELETE CASCADE,
    computer TEXT REFERENCES computer (reference) ON DELETE CASCADE,
    partition_reference TEXT,
    label TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    used_at BIGINT
);
CREATE INDEX token_person ON token (person);
CREATE INDEX token_computer ON token (computer);

-- The Master's own certificate authority, one row; its key is sealed.
CREATE TABLE authority (
    name TEXT NOT NULL PRIMARY KEY,
    certificate TEXT NOT NULL,
    sealed_key TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- What the authority signed, as PEM; `partition_reference` is empty for a computer's own.
CREATE TABLE certificate (
    serial TEXT NOT NULL PRIMARY KEY,
    computer TEXT NOT NULL REFERENCES computer (reference) ON DELETE CASCADE,
    partition_reference TEXT NOT NULL,
    pem TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX certificate_holder ON certificate (computer, partition_reference);

-- `id` begins with the time, so that the order of the names is that of the entries.
CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    happened_at BIGINT NOT NULL,
    caller TEXT NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    about TEXT NOT NULL,
    outcome BIGINT NOT NULL
);
CREATE INDEX audit_time ON audit (happened_at);
