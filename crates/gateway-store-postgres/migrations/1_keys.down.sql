DROP TABLE master_keys;
DROP TABLE key_digests;
DROP TABLE changes;
DROP TABLE config_version;
DROP TABLE audit_log;
DROP FUNCTION master_keys_changed();
DROP FUNCTION master_keys_count_revision();
DROP FUNCTION master_keys_truncated();
DROP FUNCTION note_change(BIGINT, TEXT, TEXT);
