//! Statements over arrays: one text for a batch of any size, so that the server plans it once.
//!
//! Diesel's own bulk insert and its updates are prepared anew at every call, with as many parameters as
//! there are values. Here a table's rows are one array per column, and two statements are made of them:
//!
//! ```sql
//! INSERT INTO machines (hostname, state) SELECT * FROM unnest($1, $2)
//! UPDATE machines SET state = v.state FROM unnest($1, $2) AS v (hostname, state)
//!     WHERE machines.hostname = v.hostname
//! ```

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

/// Rows of one table, as one array per column.
pub(super) trait Columns {
    /// The table.
    const TABLE: &'static str;
    /// The column by which a row is known.
    const KEY: &'static str;
    /// The columns that are set once, when a row is inserted.
    const FIXED: &'static [&'static str];
    /// The columns that may change.
    const CHANGING: &'static [&'static str];
    /// The same type for rows that borrow nothing: what is prepared is known by it.
    type Static: 'static;

    /// Whether there are none.
    fn is_empty(&self) -> bool;

    /// Adds the arrays as parameters, with commas between: the key's, the fixed ones if asked for, the others.
    fn push_arrays<'b>(&'b self, with_fixed: bool, out: AstPass<'_, 'b, Pg>) -> QueryResult<()>;
}

/// Inserts rows.
pub(super) struct Insert<'a, C>(pub(super) &'a C);

/// Changes rows that are there, and locked.
pub(super) struct Update<'a, C>(pub(super) &'a C);

impl<C: Columns> QueryId for Insert<'_, C> {
    type QueryId = Insert<'static, C::Static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<C: Columns> QueryFragment<Pg> for Insert<'_, C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO ");
        out.push_sql(C::TABLE);
        push_names(&mut out, " (", &[&[C::KEY], C::FIXED, C::CHANGING]);
        out.push_sql(") SELECT * FROM unnest(");
        self.0.push_arrays(true, out.reborrow())?;
        out.push_sql(")");
        Ok(())
    }
}

impl<C: Columns> QueryId for Update<'_, C> {
    type QueryId = Update<'static, C::Static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<C: Columns> QueryFragment<Pg> for Update<'_, C> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("UPDATE ");
        out.push_sql(C::TABLE);
        let mut separator = " SET ";
        for name in C::CHANGING {
            for part in [separator, name, " = v.", name] {
                out.push_sql(part);
            }
            separator = ", ";
        }
        out.push_sql(" FROM unnest(");
        self.0.push_arrays(false, out.reborrow())?;
        push_names(&mut out, ") AS v (", &[&[C::KEY], C::CHANGING]);
        for part in [") WHERE ", C::TABLE, ".", C::KEY, " = v.", C::KEY] {
            out.push_sql(part);
        }
        Ok(())
    }
}

/// Adds names with commas between, and something before the first.
pub(super) fn push_names(out: &mut AstPass<'_, '_, Pg>, before: &str, names: &[&[&str]]) {
    let mut separator = before;
    for name in names.iter().copied().flatten() {
        out.push_sql(separator);
        out.push_sql(name);
        separator = ", ";
    }
}

/// Defines the columns of a table: a struct of one vector each, called as the column is.
macro_rules! columns {
    (
        $(#[$doc:meta])*
        $columns:ident<$lt:lifetime> of $table:literal {
            key { $key:ident: $key_sql:ty => $key_rust:ty $(,)? }
            fixed { $($fixed:ident: $fixed_sql:ty => $fixed_rust:ty),* $(,)? }
            changing { $($changing:ident: $changing_sql:ty => $changing_rust:ty),* $(,)? }
        }
    ) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(super) struct $columns<$lt> {
            pub(super) $key: Vec<$key_rust>,
            $(pub(super) $fixed: Vec<$fixed_rust>,)*
            $(pub(super) $changing: Vec<$changing_rust>,)*
            // Columns may borrow nothing, and then the lifetime is not used otherwise.
            borrowed: std::marker::PhantomData<&$lt ()>,
        }

        impl $crate::store::statement::Columns for $columns<'_> {
            const TABLE: &'static str = $table;
            const KEY: &'static str = stringify!($key);
            const FIXED: &'static [&'static str] = &[$(stringify!($fixed)),*];
            const CHANGING: &'static [&'static str] = &[$(stringify!($changing)),*];
            type Static = $columns<'static>;

            fn is_empty(&self) -> bool {
                self.$key.is_empty()
            }

            #[allow(unused_mut, unused_variables, reason = "a table may have no fixed or no changing columns")]
            fn push_arrays<'b>(
                &'b self,
                with_fixed: bool,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                out.push_bind_param::<diesel::sql_types::Array<$key_sql>, _>(&self.$key)?;
                if with_fixed {
                    $(
                        out.push_sql(", ");
                        out.push_bind_param::<diesel::sql_types::Array<$fixed_sql>, _>(&self.$fixed)?;
                    )*
                }
                $(
                    out.push_sql(", ");
                    out.push_bind_param::<diesel::sql_types::Array<$changing_sql>, _>(&self.$changing)?;
                )*
                Ok(())
            }
        }
    };
}

/// Defines a statement without parameters, of which nothing comes back.
macro_rules! plain_statement {
    ($(#[$doc:meta])* $name:ident, $sql:literal) => {
        $(#[$doc])*
        #[derive(diesel::query_builder::QueryId)]
        pub(super) struct $name;

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                out.push_sql($sql);
                Ok(())
            }
        }
    };
}

/// Defines a statement that takes one number and returns rows.
macro_rules! counting_statement {
    ($(#[$doc:meta])* $name:ident -> $sql:ty, $before:literal, $after:literal) => {
        $(#[$doc])*
        #[derive(diesel::query_builder::QueryId)]
        pub(super) struct $name(pub(super) i64);

        impl diesel::query_builder::Query for $name {
            type SqlType = $sql;
        }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                out.push_sql($before);
                out.push_bind_param::<diesel::sql_types::BigInt, _>(&self.0)?;
                out.push_sql($after);
                Ok(())
            }
        }
    };
}

pub(super) use {columns, counting_statement, plain_statement};
