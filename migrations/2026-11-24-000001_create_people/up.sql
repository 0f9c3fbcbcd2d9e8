-- People and teams. A name is never changed, so everything else refers to it:
-- an audit entry can then say who it was without a join.
CREATE TABLE people (
    name text PRIMARY KEY,
    display_name text NOT NULL,
    is_team boolean NOT NULL DEFAULT false,
    date_created timestamptz NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT name_is_plain CHECK (name ~ '^[a-z0-9][a-z0-9+.-]*$' AND octet_length(name) <= 100)
);

COMMENT ON COLUMN people.is_team IS 'A team has members and never acts by itself.';

CREATE TABLE team_members (
    team text NOT NULL REFERENCES people,
    member text NOT NULL REFERENCES people,

    PRIMARY KEY (team, member),
    CONSTRAINT nobody_is_their_own_member CHECK (team <> member)
);

-- For "which teams is this person in", which is asked at every command.
CREATE INDEX team_members_member ON team_members (member);

-- Two names have meaning.
INSERT INTO people (name, display_name, is_team) VALUES
    ('vcs-imports', 'Operators of the imports', true),
    ('admins', 'Administrators', true);
