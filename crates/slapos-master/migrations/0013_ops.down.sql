DROP INDEX token_made_by;
ALTER TABLE token DROP COLUMN made_by;
