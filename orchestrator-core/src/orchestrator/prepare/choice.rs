//! Callers that name the providers to ask: by header, by an option of the typed plane, or in the body.

use std::sync::Arc;

use crate::{
    admission,
    call::{About, Facts},
    catalog::{ApiKey, route::Route, snapshot::Catalog},
    dialect::Operation,
    error::{Error, ErrorKind, Result},
    routing::Plan,
};

/// The header that names them, and the parameter of errors about it.
const HEADER: &str = "x-orchestrator-providers";

/// The providers that a caller names.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    /// In order, each with the field that names it.
    named: Vec<(&'a str, String)>,
    /// Before them stands whoever would be asked first without them.
    usual_first: bool,
}

impl<'a> Choice<'a> {
    /// What the header names, else what the body does; `None`: nobody is named.
    pub(super) fn of(about: &'a About, facts: &'a Facts) -> Option<Self> {
        if !about.providers.is_empty() {
            let named = about.providers.iter().map(|name| (name.as_str(), HEADER.to_owned())).collect();
            return Some(Self { named, usual_first: false });
        }
        let wishes = facts.wishes.as_deref()?;
        let first = wishes.provider.iter().map(|name| (name.as_str(), "provider".to_owned()));
        let others = wishes.fallbacks.iter().enumerate();
        let others = others.map(|(at, name)| (name.as_str(), format!("fallback_providers[{at}]")));
        let named: Vec<_> = first.chain(others).collect();
        (!named.is_empty()).then_some(Self { named, usual_first: wishes.provider.is_none() })
    }

    /// Says whether the caller may choose, and whether there is what it chooses.
    ///
    /// Errors: 403, or 404 that names the provider that there is not.
    pub(super) fn admit(&self, caller: &ApiKey, catalog: &Catalog) -> Result<()> {
        let field = self.named.first().map_or(HEADER, |(_, field)| field);
        if !admission::may_choose_providers(caller) {
            let message = "this API key may not choose providers";
            return Err(Error::new(ErrorKind::PermissionDenied, message).with_param(field));
        }
        for (name, field) in &self.named {
            if !catalog.enabled_providers().any(|target| *target.provider_name == **name) {
                let message = format!("there is no provider `{name}`, or it is disabled");
                let error = Error::new(ErrorKind::NotFound, message);
                return Err(error.with_param(field.clone()).with_code("provider_not_found"));
            }
        }
        Ok(())
    }

    /// The routes of a model that the catalog does not know: straight to each that is named, as `NAME/MODEL` goes.
    ///
    /// Errors: 403 for a key that may not ask for `NAME/MODEL`.
    pub(super) fn direct(
        &self,
        catalog: &Catalog,
        caller: &ApiKey,
        operation: Operation,
        model: &str,
    ) -> Result<Vec<Arc<Route>>> {
        let mut routes = Vec::with_capacity(self.named.len());
        for (name, _) in &self.named {
            let asked = format!("{name}/{model}");
            admission::authorize(caller, operation, &asked)?;
            routes.push(super::route(catalog, caller, &asked)?);
        }
        Ok(routes)
    }

    /// The plan with nobody but those named, in their order: first for the model itself, then for those it falls back to.
    ///
    /// Errors: 400 for a provider that does not serve the model, or cannot serve this request.
    pub(super) fn narrow(&self, plan: &mut Plan, model: &str) -> Result<()> {
        let mut names: Vec<&str> = Vec::with_capacity(self.named.len() + 1);
        let usual = plan.candidates.first().map(|candidate| candidate.target().provider_name.clone());
        if self.usual_first {
            names.extend(usual.as_deref());
        }
        for (name, field) in &self.named {
            if !plan.candidates.iter().any(|candidate| *candidate.target().provider_name == **name) {
                let message =
                    format!("the provider `{name}` does not serve this request for the model `{model}`");
                return Err(Error::invalid(field.clone(), message).with_code("provider_not_available"));
            }
            if !names.contains(name) {
                names.push(name);
            }
        }
        plan.only_in_order(&names);
        Ok(())
    }
}
