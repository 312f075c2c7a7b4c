//! The operators' own prices. They belong to no file and have no id that lasts: a change of one is another row.

use std::collections::HashMap;

use super::{Merge, Policy};
use crate::{
    admin::{
        prices::MOST,
        transfer::{
            document::{Document, Placed},
            report::{Action, fields},
            show,
        },
    },
    store::CatalogChange,
};

impl Merge<'_> {
    pub(super) fn merge_prices(&mut self, document: &Document) {
        let current = &self.current.rows.prices;
        let (mut seen, mut count) = (HashMap::new(), current.len());
        for Placed { path, row, .. } in &document.prices {
            let new = match self.admin.new_price(&row.kind, &row.upstream_model, row.rates, false) {
                Ok(new) => new,
                Err(error) => {
                    self.problems.add_refusal(path, &error);
                    continue;
                }
            };
            let name = format!("{} {}", row.kind, row.upstream_model);
            if self.is_double(&mut seen, &name, path, "upstream_model") {
                continue;
            }
            let is_it = |(kind, model): (&String, &String)| *kind == row.kind && *model == row.upstream_model;
            let old = current.iter().find(|old| is_it((&old.kind, &old.upstream_model)));
            match old {
                Some(old) if old.rates == new.rates => {
                    self.plan.report.unchanged += 1;
                    continue;
                }
                Some(_) if self.policy == Policy::Skip => {
                    self.plan.report.skipped += 1;
                    continue;
                }
                Some(_) => {}
                None => count += 1,
            }
            if count > MOST {
                self.problems.add(path, format!("is one too many: there may be {MOST} prices"));
                return;
            }
            let action = if old.is_some() { Action::Update } else { Action::Create };
            let fields = fields(old.map(show::price).as_ref(), &show::price(&new));
            self.change(action, "price", &name, fields, CatalogChange::SetPrice(Box::new(new)));
        }
    }
}
