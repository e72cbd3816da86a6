DROP TABLE audit;
DROP TABLE certificate;
DROP TABLE authority;
DROP TABLE token;
DROP TABLE member;
DROP TABLE project;
DROP TABLE person;
DROP INDEX computer_project;
ALTER TABLE computer DROP COLUMN project;
