-- What refers goes before what is referred to.

DROP TABLE shared_instance;
DROP TABLE instance;
DROP TABLE partition_address;
DROP TABLE computer_partition;
DROP TABLE software;
DROP TABLE computer;
DROP TABLE schema_migration;
