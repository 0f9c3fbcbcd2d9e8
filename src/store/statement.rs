//! Statements over arrays: one text for a batch of any size, so that the server plans it once.
//!
//! Diesel's own bulk insert and its updates are prepared anew at every call, with as many parameters as
//! there are values. A statement here has one array per column and a text that never changes.

/// Defines a statement as a struct of one vector per column: `before unnest($1, $2, …) after`.
macro_rules! bulk_statement {
    (
        $(#[$doc:meta])*
        $name:ident<$lt:lifetime>, $before:literal,
        { $($field:ident: $sql:ty => $rust:ty),+ $(,)? },
        $after:literal
    ) => {
        $(#[$doc])*
        #[derive(Default)]
        pub(super) struct $name<$lt> {
            $(pub(super) $field: Vec<$rust>,)+
            // Rows may borrow nothing, and then the lifetime is not used otherwise.
            pub(super) borrowed: std::marker::PhantomData<&$lt ()>,
        }

        impl<$lt> diesel::query_builder::QueryId for $name<$lt> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl<$lt> diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name<$lt> {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                out.push_sql($before);
                let mut separator = " unnest(";
                $(
                    out.push_sql(separator);
                    out.push_bind_param::<diesel::sql_types::Array<$sql>, _>(&self.$field)?;
                    separator = ", ";
                )+
                let _: &str = separator;
                out.push_sql(")");
                out.push_sql($after);
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

pub(super) use {bulk_statement, counting_statement};
