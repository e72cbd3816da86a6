-- What concerns a computer and changed lately, in order. The number is counted for each computer
-- apart, in the row of the computer, by the transaction that makes the change: whoever reads number
-- N has seen all before it, also where several Masters write at once.

ALTER TABLE computer ADD COLUMN changes BIGINT NOT NULL DEFAULT 0;

CREATE TABLE change (
    computer TEXT NOT NULL REFERENCES computer (reference),
    number BIGINT NOT NULL,
    kind TEXT NOT NULL,
    partition_reference TEXT,
    software TEXT,
    state TEXT,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (computer, number)
);

-- Tells this database from another that listeners may have heard before it. The Master that finds no
-- row makes one, because no words for chance are common to all databases.
CREATE TABLE era (name TEXT NOT NULL PRIMARY KEY);
