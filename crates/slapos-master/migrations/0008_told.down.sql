DROP TABLE feed;
DROP TABLE promise_result;
DROP TABLE promise;
DROP TABLE build_progress;
DROP TABLE computer_metrics;
DROP TABLE computer_contact;
