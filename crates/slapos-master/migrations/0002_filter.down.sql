ALTER TABLE instance DROP COLUMN filter;
