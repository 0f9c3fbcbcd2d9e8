//! People and teams. Adding them is logged, and no audit event (section 6).

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;

use super::rows::Corrupt;
use super::schema::{people, team_members};
use super::{Error, Store, load};
use crate::domain::person::ADMINS;
use crate::domain::{Person, PersonName};

/// A person or team as the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What it is called, everywhere.
    pub name: PersonName,
    /// What it is called in full.
    pub display_name: String,
    /// Whether it is a team.
    pub is_team: bool,
}

impl Store {
    /// The person of this name, with their teams.
    pub async fn person(&mut self, name: &PersonName) -> Result<Option<Person>, Error> {
        let names = BTreeSet::from([name.clone()]);
        Ok(load::people(self.connection(), &names).await?.remove(name))
    }

    /// Adds a person or a team.
    pub async fn add_person(
        &mut self,
        actor: Option<&PersonName>,
        name: &PersonName,
        display_name: &str,
        is_team: bool,
    ) -> Result<(), Error> {
        self.check_administers(actor).await?;
        let row = (
            people::name.eq(name.as_str()),
            people::display_name.eq(display_name),
            people::is_team.eq(is_team),
        );
        let added = diesel::insert_into(people::table)
            .values(row)
            .on_conflict_do_nothing()
            .execute(self.connection())
            .await?;
        self.check_warning()?;
        if added == 0 {
            return Err(Error::Refused(format!("There is already a person or team {name}.")));
        }
        tracing::info!(person = %name, by = ?actor.map(PersonName::as_str), "person {name} was added");
        Ok(())
    }

    /// Adds a member to a team.
    pub async fn add_member(
        &mut self,
        actor: Option<&PersonName>,
        team: &PersonName,
        member: &PersonName,
    ) -> Result<(), Error> {
        self.check_administers(actor).await?;
        self.check_team(team).await?;
        let joining = self.person(member).await?;
        let joining = joining.ok_or_else(|| Error::Refused(format!("There is no person {member}.")))?;
        let circle = self.person(team).await?.is_some_and(|team| team.is_in(&joining.name));
        if circle || team == member {
            return Err(Error::Refused(format!(
                "{team} is a member of {member} already; a circle of teams is refused."
            )));
        }
        let row = (team_members::team.eq(team.as_str()), team_members::member.eq(member.as_str()));
        let query = diesel::insert_into(team_members::table).values(row).on_conflict_do_nothing();
        query.execute(self.connection()).await?;
        self.check_warning()?;
        tracing::info!(%team, %member, by = ?actor.map(PersonName::as_str), "{member} was added to {team}");
        Ok(())
    }

    /// Takes a member from a team.
    pub async fn remove_member(
        &mut self,
        actor: Option<&PersonName>,
        team: &PersonName,
        member: &PersonName,
    ) -> Result<(), Error> {
        self.check_administers(actor).await?;
        self.check_team(team).await?;
        let row = team_members::team.eq(team.as_str()).and(team_members::member.eq(member.as_str()));
        let removed = diesel::delete(team_members::table.filter(row)).execute(self.connection()).await?;
        self.check_warning()?;
        if removed == 0 {
            return Err(Error::Refused(format!("{member} is no member of {team}.")));
        }
        tracing::info!(%team, %member, by = ?actor.map(PersonName::as_str), "{member} was taken from {team}");
        Ok(())
    }

    /// Everybody, by name.
    pub async fn people(&mut self) -> Result<Vec<Listed>, Error> {
        let query =
            people::table.order(people::name).select((people::name, people::display_name, people::is_team));
        let rows: Vec<(String, String, bool)> = query.load(self.connection()).await?;
        let listed = |(name, display_name, is_team): (String, String, bool)| {
            let name = Corrupt { table: "people", id: &name }.parse("name", &name)?;
            Ok(Listed { name, display_name, is_team })
        };
        rows.into_iter().map(listed).collect()
    }

    /// The members of a team, by name.
    pub async fn members(&mut self, team: &PersonName) -> Result<Vec<PersonName>, Error> {
        self.check_team(team).await?;
        let query = team_members::table
            .filter(team_members::team.eq(team.as_str()))
            .order(team_members::member)
            .select(team_members::member);
        let names: Vec<String> = query.load(self.connection()).await?;
        names.iter().map(|name| Corrupt { table: "team_members", id: name }.parse("member", name)).collect()
    }

    /// Refuses unless the actor is an admin. While there is none, whoever has the connection string may: so
    /// the first admin is made.
    async fn check_administers(&mut self, actor: Option<&PersonName>) -> Result<(), Error> {
        if !self.has_admins().await? {
            return Ok(());
        }
        let Some(actor) = actor else {
            return Err(Error::Refused("Say who acts: --as NAME, a member of admins.".to_owned()));
        };
        match self.person(actor).await? {
            Some(person) if person.is_admin() => Ok(()),
            Some(_) => Err(Error::Refused(format!(
                "{actor} may not change people and teams: that needs to be a member of admins."
            ))),
            None => Err(Error::Refused(format!("There is no person {actor}."))),
        }
    }

    /// Whether there is an admin yet: a person, in `admins` or in a team that is. A team without people administers
    /// nothing.
    pub async fn has_admins(&mut self) -> Result<bool, Error> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Bool)]
            has_admins: bool,
        }
        let query = diesel::sql_query(
            "WITH RECURSIVE membership (member) AS (
                 SELECT member FROM team_members WHERE team = $1
                 UNION
                 SELECT team_members.member
                 FROM membership JOIN team_members ON team_members.team = membership.member
             )
             SELECT EXISTS (
                 SELECT 1 FROM membership JOIN people ON people.name = membership.member WHERE NOT is_team
             ) AS has_admins",
        );
        Ok(query.bind::<Text, _>(ADMINS).get_result::<Row>(self.connection()).await?.has_admins)
    }

    async fn check_team(&mut self, team: &PersonName) -> Result<(), Error> {
        match self.person(team).await? {
            Some(person) if person.is_team => Ok(()),
            Some(_) => Err(Error::Refused(format!("{team} is a person, not a team."))),
            None => Err(Error::Refused(format!("There is no team {team}."))),
        }
    }
}
