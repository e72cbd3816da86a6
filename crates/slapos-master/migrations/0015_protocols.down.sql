-- What other Masters were still to be asked is forgotten: they keep it.

DROP INDEX computer_contact_at;
DROP TABLE farewell;
DROP TABLE consumption;
ALTER TABLE forwarded_request DROP COLUMN software_type;
