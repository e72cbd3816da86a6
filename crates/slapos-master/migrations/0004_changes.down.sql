DROP TABLE era;
DROP TABLE change;
ALTER TABLE computer DROP COLUMN changes;
