-- What was asked about the place of an instance (its SLA), a JSON object of texts: the node of the
-- instance is told, because `retention_delay` is there.
ALTER TABLE instance ADD COLUMN filter TEXT NOT NULL DEFAULT '{}';
