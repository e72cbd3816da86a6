-- A number that grows whenever anything changes that a node is told about its computer, also where
-- no node needs to be woken for it. What was made of it for one number need not be made again.
ALTER TABLE computer ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;

-- What a tree asked for is looked for when its root is renamed or goes.
CREATE INDEX shared_instance_root ON shared_instance (root);
