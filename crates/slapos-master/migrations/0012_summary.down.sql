DROP INDEX promise_failed;
DROP INDEX instance_failed;
DROP INDEX software_state;
DROP INDEX instance_state;
