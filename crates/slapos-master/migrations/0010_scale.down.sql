DROP INDEX shared_instance_title;
DROP INDEX instance_title;
ALTER TABLE computer DROP COLUMN revision;
