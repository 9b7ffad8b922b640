DROP TABLE providers;
DROP TABLE models;
DROP FUNCTION settings_changed();
DROP FUNCTION settings_count_revision();
DROP FUNCTION settings_truncated();
ALTER TABLE changes DROP COLUMN token;
ALTER TABLE config_version DROP COLUMN store_id;
