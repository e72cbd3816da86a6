-- Which token a token was made with, by its `id`; nothing if by the operator's or a certificate. It is not
-- longer valid than that, and goes with it. What was made before this column stays as it is.

ALTER TABLE token ADD COLUMN made_by TEXT;
CREATE INDEX token_made_by ON token (made_by);
