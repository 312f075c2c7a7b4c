//! Who calls a method of Admin: looked at before anything else.

use orchestrator_core::{
    admin::{Admin, Session, health::HealthDesk},
    audit::Actor,
    error::Result,
};
use orchestrator_proto::v1;
use tonic::{Request, Response, Status};

use super::{AdminService, Answer, auth, roles};
use crate::status::to_status;

/// Who calls, and what acts in his name.
pub(super) struct Caller {
    pub(super) admin: Admin,
    pub(super) health: HealthDesk,
    pub(super) session: Session,
    pub(super) request_id: String,
}

impl Caller {
    pub(super) fn answer<T>(&self, outcome: Result<T>) -> Answer<T> {
        outcome.map(Response::new).map_err(|error| to_status(&error, &self.request_id))
    }
}

impl AdminService {
    /// Every method begins here: without an admin key whose role is enough nothing is even looked at. Which method it is says the
    /// request's type: each has one of its own.
    pub(super) fn admit<T: prost::Name>(
        &self,
        request: Request<T>,
    ) -> std::result::Result<(Caller, T), Status> {
        let nobody = auth::nobody(&request);
        let request_id = nobody.request_id.clone();
        let refuse = |error| to_status(&error, &request_id);
        let presented = auth::presented(request.metadata()).map_err(refuse)?;
        let session = self.auth.check(&presented).map_err(|error| {
            if !presented.is_empty() {
                self.refusals.sign_in_failed(&nobody, &error.message);
            }
            refuse(error)
        })?;
        let actor = Actor { name: session.actor.clone(), role: session.role, ..nobody };
        roles::check::<T>(session.role).map_err(|error| {
            self.refusals.denied(&actor, T::NAME);
            refuse(error)
        })?;
        let admin = self.keeper.acting_as(actor);
        let health = self.desk.acting_through(&admin);
        Ok((Caller { admin, health, session, request_id }, request.into_inner()))
    }

    /// Whether this needs no key, and has none: a wrong one is refused everywhere.
    pub(super) fn is_open_to(&self, request: &Request<v1::GetStatusRequest>) -> bool {
        self.public_status && auth::presented(request.metadata()).is_ok_and(|keys| keys.is_empty())
    }

    /// For what of a method's is for admins alone: secrets, and what was said in requests.
    pub(super) fn admins_only(&self, caller: &Caller, what: &str) -> std::result::Result<(), Status> {
        roles::check_admin(caller.session.role, what).map_err(|error| {
            self.refusals.denied(&caller.admin.stamp().actor, what);
            to_status(&error, &caller.request_id)
        })
    }
}
