-- What is counted and looked for on the first page: each of these is read instead of its table.

CREATE INDEX instance_state ON instance (requested_state, project);
CREATE INDEX software_state ON software (reported_state, computer, url);
-- Few fail, so these are small, and cost nothing while all is well.
CREATE INDEX instance_failed ON instance (computer, partition_reference)
    WHERE reported_state = 'error';
CREATE INDEX promise_failed ON promise (computer, partition_reference) WHERE failed = 1;
