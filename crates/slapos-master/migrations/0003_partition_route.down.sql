DROP TABLE partition_route;
