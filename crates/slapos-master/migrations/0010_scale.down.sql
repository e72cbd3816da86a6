DROP INDEX shared_instance_root;
ALTER TABLE computer DROP COLUMN revision;
