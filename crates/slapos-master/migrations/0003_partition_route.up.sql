-- What the tap interface of a partition is routed by: at most one row for each partition.

CREATE TABLE partition_route (
    computer TEXT NOT NULL,
    partition_reference TEXT NOT NULL,
    interface TEXT NOT NULL,
    address TEXT NOT NULL,
    gateway TEXT NOT NULL,
    netmask TEXT NOT NULL,
    network TEXT NOT NULL,
    PRIMARY KEY (computer, partition_reference),
    FOREIGN KEY (computer, partition_reference)
        REFERENCES computer_partition (computer, reference) ON DELETE CASCADE
);
