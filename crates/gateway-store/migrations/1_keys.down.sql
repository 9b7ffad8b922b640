DROP TABLE master_keys;
DROP TABLE key_digests;
DROP TABLE changes;
DROP TABLE config_version;
DROP TABLE audit_log;
