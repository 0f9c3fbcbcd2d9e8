// @generated automatically by Diesel CLI.

diesel::table! {
    applied_commands (message_id) {
        message_id -> Text,
        date_created -> Timestamptz,
        /// Null only inside the transaction that applies it.
        answer -> Nullable<Jsonb>,
    }
}

diesel::table! {
    event_counter (next_id) {
        is_only -> Bool,
        epoch -> Uuid,
        next_id -> Int8,
    }
}

diesel::table! {
    event_cursor (last_id) {
        is_only -> Bool,
        last_id -> Int8,
    }
}

diesel::table! {
    event_epochs (epoch) {
        epoch -> Uuid,
        first_id -> Int8,
        date_created -> Timestamptz,
    }
}

diesel::table! {
    events (id) {
        id -> Int8,
        epoch -> Uuid,
        date_created -> Timestamptz,
        event_type -> Text,
        import_id -> Nullable<Int8>,
        /// The name of the import, as it was.
        unique_name -> Nullable<Text>,
        person -> Nullable<Text>,
        machine -> Nullable<Text>,
        data -> Jsonb,
    }
}

diesel::table! {
    hearing (is_only) {
        is_only -> Bool,
        /// The newest echo that came back, by our clock when it was sent.
        heard -> Timestamptz,
        /// Since when we have listened without a gap.
        since -> Timestamptz,
    }
}

diesel::table! {
    imports (id) {
        id -> Int8,
        unique_name -> Text,
        registrant -> Text,
        owner -> Text,
        rcs_type -> Text,
        url -> Nullable<Text>,
        cvs_root -> Nullable<Text>,
        cvs_module -> Nullable<Text>,
        review_status -> Text,
        /// From one run's start to the next; null means the default for its RCS.
        update_interval_seconds -> Nullable<Int8>,
        date_created -> Timestamptz,
        date_last_successful -> Nullable<Timestamptz>,
        date_source_changed -> Nullable<Timestamptz>,
        /// The last result, so that no rule reads history.
        last_job_id -> Nullable<Int8>,
        last_run -> Nullable<Uuid>,
        last_status -> Nullable<Text>,
        last_date_job_started -> Nullable<Timestamptz>,
        last_date_created -> Nullable<Timestamptz>,
        /// Failures since the latest success, review or change of source.
        consecutive_failure_count -> Int8,
        /// RECLAIMED and INTERNAL_FAILURE in a row.
        consecutive_infrastructure_failure_count -> Int8,
    }
}

diesel::table! {
    jobs (id) {
        id -> Int8,
        import_id -> Int8,
        /// Its import's, so that the dispatcher asks one index.
        rcs_type -> Text,
        state -> Text,
        date_created -> Timestamptz,
        /// When the job may be dispatched.
        date_due -> Timestamptz,
        /// When it was last handed to its work queue.
        date_dispatched -> Nullable<Timestamptz>,
        requesting_user -> Nullable<Text>,
        machine -> Nullable<Text>,
        run -> Nullable<Uuid>,
        date_started -> Nullable<Timestamptz>,
        heartbeat -> Nullable<Timestamptz>,
        log_tail -> Nullable<Text>,
    }
}

diesel::table! {
    machines (hostname) {
        hostname -> Text,
        state -> Text,
        offline_reason -> Nullable<Text>,
        /// Since when it is in that state.
        date_state -> Timestamptz,
        /// The last word from it, to ten seconds; null only inside the transaction of its first word.
        heartbeat -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    people (name) {
        name -> Text,
        display_name -> Text,
        /// A team has members and never acts by itself.
        is_team -> Bool,
        date_created -> Timestamptz,
    }
}

diesel::table! {
    results (id, date_created) {
        id -> Int8,
        import_id -> Int8,
        job_id -> Int8,
        run -> Uuid,
        machine -> Text,
        requesting_user -> Nullable<Text>,
        status -> Text,
        date_job_started -> Timestamptz,
        /// When the run ended.
        date_created -> Timestamptz,
        log_excerpt -> Text,
        log_url -> Nullable<Text>,
        reason -> Nullable<Text>,
        stats -> Jsonb,
    }
}

diesel::table! {
    sessions (role) {
        role -> Text,
        date_begun -> Timestamptz,
    }
}

diesel::table! {
    team_members (team, member) {
        team -> Text,
        member -> Text,
    }
}

diesel::joinable!(event_counter -> event_epochs (epoch));
diesel::joinable!(jobs -> imports (import_id));
diesel::joinable!(jobs -> machines (machine));
diesel::joinable!(jobs -> people (requesting_user));

diesel::allow_tables_to_appear_in_same_query!(
    applied_commands,
    event_counter,
    event_cursor,
    event_epochs,
    events,
    hearing,
    imports,
    jobs,
    machines,
    people,
    results,
    sessions,
    team_members,
);
