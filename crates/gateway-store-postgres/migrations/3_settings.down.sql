-- In the order of those who write, each of whom begins with config_version; else one of both would be a victim of deadlock.
LOCK TABLE config_version IN ACCESS EXCLUSIVE MODE;
ALTER TABLE config_version DROP COLUMN store_id;
DROP TABLE providers;
DROP TABLE models;
DROP FUNCTION settings_changed();
DROP FUNCTION settings_count_revision();
DROP FUNCTION settings_truncated();
ALTER TABLE changes DROP COLUMN token;
