DROP TABLE sessions;
DROP TABLE hearing;
