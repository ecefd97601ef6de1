/// The tables of the PostgreSQL tier, as the steps that made them. A step that was released never changes: what comes later is a
/// step of its own.
package enum PostgresSchema {
    package struct Step: Sendable {
        package var version: Int
        package var name: String
        package var statements: [String]
    }

    package static let steps = [
        Step(version: 1, name: "sessions and runs", statements: first),
        Step(version: 2, name: "users and keys", statements: second),
        Step(version: 3, name: "budgets and ledger", statements: third),
        Step(version: 4, name: "idempotency keys", statements: fourth),
        Step(version: 5, name: "ledger along with appends", statements: [LedgerBatch.function]),
    ]

    /// Times are milliseconds since 1970, as in session files; `expires_at` and the like are the database's own.
    private static let first = [
        // Servers at work. One whose time is over has no leases and no runs any more.
        """
        CREATE TABLE servers (
            id uuid PRIMARY KEY,
            name text NOT NULL,
            started_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz NOT NULL
        )
        """,
        // What is known of a session without reading it. All but the header follows from the lines, and is brought up to
        // date before it is asked for: an append touches session_heads alone.
        """
        CREATE TABLE sessions (
            id uuid PRIMARY KEY,
            public_id text COLLATE "C" NOT NULL UNIQUE,
            tenant text NOT NULL DEFAULT 'default',
            user_id text NOT NULL DEFAULT 'local',
            header text NOT NULL,
            created_at bigint NOT NULL,
            updated_at bigint NOT NULL,
            appended_at timestamptz NOT NULL DEFAULT now(),
            name text,
            metadata jsonb,
            entry_count bigint NOT NULL DEFAULT 0,
            totals text NOT NULL,
            cataloged_lines bigint NOT NULL DEFAULT 1,
            tier text NOT NULL DEFAULT 'hot' CHECK (tier IN ('hot', 'archived')),
            archive jsonb
        )
        """,
        "CREATE INDEX sessions_by_change ON sessions (updated_at, public_id)",
        "CREATE INDEX sessions_by_creation ON sessions (created_at, public_id)",
        "CREATE INDEX sessions_by_owner ON sessions (tenant, user_id, updated_at)",
        "CREATE INDEX sessions_hot_by_append ON sessions (appended_at) WHERE tier = 'hot'",
        // Where a session is continued. No column that changes with an append is indexed, so its row is updated in place.
        """
        CREATE TABLE session_heads (
            session_id uuid PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
            epoch bigint NOT NULL DEFAULT 0,
            tail_id bytea,
            line_count bigint NOT NULL,
            byte_count bigint NOT NULL,
            lacks_line_feed boolean NOT NULL DEFAULT false,
            has_raw_lines boolean NOT NULL DEFAULT false,
            appended_at timestamptz NOT NULL DEFAULT now(),
            is_stale boolean NOT NULL DEFAULT true
        ) WITH (fillfactor = 50)
        """,
        "CREATE INDEX session_heads_stale ON session_heads (session_id) WHERE is_stale",
        // The lines behind the header, whose number is 1. content is the exact line; raw holds one that is no text.
        """
        CREATE TABLE session_entries (
            session_id uuid NOT NULL,
            line bigint NOT NULL,
            entry_id text,
            parent_id text,
            timestamp bigint NOT NULL,
            type varchar(20) NOT NULL,
            content text NOT NULL,
            raw bytea,
            metadata jsonb,
            PRIMARY KEY (session_id, line)
        )
        """,
        "CREATE INDEX session_entries_by_parent ON session_entries (session_id, parent_id)",
        "CREATE INDEX session_entries_by_time ON session_entries USING brin (timestamp)",
        // What a search looks through: names (line 1) and messages.
        """
        CREATE TABLE session_texts (
            session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
            line bigint NOT NULL,
            text text NOT NULL,
            words tsvector GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, text)) STORED,
            PRIMARY KEY (session_id, line)
        )
        """,
        "CREATE INDEX session_texts_by_word ON session_texts USING gin (words)",
        // Who may append. The epoch only grows; the head's copy of it is what an append is checked against.
        """
        CREATE TABLE leases (
            session_id uuid PRIMARY KEY REFERENCES sessions ON DELETE CASCADE,
            server_id uuid,
            epoch bigint NOT NULL,
            taken_at timestamptz NOT NULL DEFAULT now()
        )
        """,
        "CREATE INDEX leases_by_server ON leases (server_id)",
        """
        CREATE TABLE runs (
            id text COLLATE "C" PRIMARY KEY,
            session_id uuid NOT NULL,
            server_id uuid,
            status text NOT NULL,
            is_final boolean NOT NULL,
            record text NOT NULL
        ) WITH (fillfactor = 70)
        """,
        "CREATE INDEX runs_by_session ON runs (session_id, id)",
        "CREATE INDEX runs_unfinished ON runs (server_id) WHERE NOT is_final",
        // Objects in the archive's bucket that may be nobody's: those of an upload that is under way, and those that are to go.
        """
        CREATE TABLE archive_garbage (
            key text PRIMARY KEY,
            session_id uuid NOT NULL,
            server_id uuid,
            noted_at timestamptz NOT NULL DEFAULT now()
        )
        """,
        // JSON may hold what jsonb refuses, such as a NUL; then there is none, and nothing fails.
        """
        CREATE FUNCTION tau_jsonb(value text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
        BEGIN
            RETURN value::jsonb;
        EXCEPTION WHEN OTHERS THEN
            RETURN NULL;
        END
        $$
        """,
    ]

    private static let second = [
        """
        CREATE TABLE users (
            tenant text COLLATE "C" NOT NULL,
            id text COLLATE "C" NOT NULL,
            role text NOT NULL,
            is_disabled boolean NOT NULL,
            created_at bigint NOT NULL,
            PRIMARY KEY (tenant, id)
        )
        """,
        """
        CREATE TABLE api_keys (
            id text COLLATE "C" PRIMARY KEY,
            tenant text COLLATE "C" NOT NULL,
            user_id text COLLATE "C" NOT NULL,
            name text,
            scopes text NOT NULL,
            digest text NOT NULL,
            created_at bigint NOT NULL,
            last_used_at bigint,
            expires_at bigint,
            revoked_at bigint
        )
        """,
        "CREATE INDEX api_keys_by_user ON api_keys (tenant, user_id)",
        // The sessions of the one who runs the servers have the name that their key has.
        "ALTER TABLE sessions ALTER COLUMN user_id SET DEFAULT 'admin'",
        "UPDATE sessions SET user_id = 'admin' WHERE tenant = 'default' AND user_id = 'local'",
        // Lists are an owner's.
        "DROP INDEX sessions_by_owner",
        "CREATE INDEX sessions_of_owner_by_change ON sessions (tenant, user_id, updated_at, public_id)",
        "CREATE INDEX sessions_of_owner_by_creation ON sessions (tenant, user_id, created_at, public_id)",
    ]

    private static let third = [
        // Each is one owner's in one day or month. Its row is updated in place with every call.
        """
        CREATE TABLE budget_accounts (
            id text COLLATE "C" PRIMARY KEY,
            used_tokens bigint NOT NULL DEFAULT 0,
            held_tokens bigint NOT NULL DEFAULT 0,
            used_nano bigint NOT NULL DEFAULT 0,
            held_nano bigint NOT NULL DEFAULT 0
        ) WITH (fillfactor = 50)
        """,
        """
        CREATE TABLE budget_holds (
            id text COLLATE "C" PRIMARY KEY,
            accounts text[] NOT NULL,
            tokens bigint NOT NULL,
            nano bigint NOT NULL,
            expires_at bigint NOT NULL,
            is_expired boolean NOT NULL,
            charge text NOT NULL
        )
        """,
        "CREATE INDEX budget_holds_by_end ON budget_holds (expires_at) WHERE NOT is_expired",
        // One row a model call.
        """
        CREATE TABLE charges (
            id text COLLATE "C" PRIMARY KEY,
            at bigint NOT NULL,
            tenant text COLLATE "C" NOT NULL,
            user_id text COLLATE "C" NOT NULL,
            key_id text,
            session text NOT NULL,
            model text NOT NULL,
            input bigint NOT NULL,
            output bigint NOT NULL,
            cache_read bigint NOT NULL,
            cache_write bigint NOT NULL,
            nano bigint NOT NULL,
            is_estimated boolean NOT NULL
        )
        """,
        "CREATE INDEX charges_of_owner ON charges (tenant, user_id, at)",
    ]

    private static let fourth = [
        // Requests that are carried out once. The answer is missing until there is one.
        """
        CREATE TABLE idempotency_keys (
            tenant text COLLATE "C" NOT NULL,
            user_id text COLLATE "C" NOT NULL,
            key text COLLATE "C" NOT NULL,
            fingerprint bytea NOT NULL,
            attempt text NOT NULL,
            created_at bigint NOT NULL,
            server_id uuid,
            answer bytea,
            PRIMARY KEY (tenant, user_id, key)
        )
        """,
        "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)",
    ]
}
