-- A number that grows whenever anything changes that a node is told about its computer, also where
-- no node needs to be woken for it. What was made of it for one number need not be made again.
ALTER TABLE computer ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;

-- People look for what they asked for by its title, in all their projects.
CREATE INDEX instance_title ON instance (title);
CREATE INDEX shared_instance_title ON shared_instance (title);
