DROP TABLE providers;
DROP TABLE models;
ALTER TABLE changes DROP COLUMN token;
ALTER TABLE config_version DROP COLUMN store_id;
