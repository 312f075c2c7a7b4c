//! Prices: those shipped with the program, below those that operators set.
//!
//! A price has no id of its own: it is known by the kind and the model that it is for, however often it changes. What a request cost was
//! written down with it, and no change of a price touches that.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Admin, Listed, Page, providers::set, store_error, validate};
use crate::{
    catalog::OwnPrice,
    error::{Error, ErrorKind, Result},
    policy::price::{
        Rate, Rates,
        book::{Listing, effective},
    },
    store::CatalogChange,
};

/// How many prices operators may set: every core holds them all.
pub(super) const MOST: usize = 10_000;
/// Between kind and model in a page's token; no kind has one.
const SEPARATOR: char = '/';

/// The fields of a price that may be set. `Some(None)`: not known.
#[derive(Clone, Copy, Debug, Default)]
pub struct PriceChange {
    /// [`Rates::input`].
    pub input: Option<Rate>,
    /// [`Rates::cached_read`].
    pub cached_read: Option<Rate>,
    /// [`Rates::cache_write`].
    pub cache_write: Option<Rate>,
    /// [`Rates::output`].
    pub output: Option<Rate>,
}

impl PriceChange {
    fn make(self, rates: &mut Rates) {
        set(&mut rates.input, self.input);
        set(&mut rates.cached_read, self.cached_read);
        set(&mut rates.cache_write, self.cache_write);
        set(&mut rates.output, self.output);
    }
}

impl Admin {
    /// A page of the prices in force, by kind and model. `kind`: of this one only.
    pub async fn list_prices(&self, kind: Option<&str>, page: &Page) -> Result<Listed<Listing>> {
        let after = match page.token.as_str() {
            "" => None,
            token => Some(last_of(token).ok_or_else(|| {
                Error::invalid("page_token".to_owned(), "page_token is not one that was given out")
            })?),
        };
        let mut lines = self.prices_in_force().await?;
        lines.retain(|line| {
            let is_after =
                |(kind, model): &(String, String)| (&line.kind, &line.upstream_model) > (kind, model);
            kind.is_none_or(|kind| kind == line.kind) && after.as_ref().is_none_or(is_after)
        });
        lines.truncate(page.limit() as usize + 1);
        let named = lines.into_iter().map(|line| (token(&line), line)).collect();
        let Listed { items, next } = page.listed(named, |(token, _)| token);
        Ok(Listed { items: items.into_iter().map(|(_, line)| line).collect(), next })
    }

    /// The price in force for a kind and a model, or a glob, of just this name.
    pub async fn price(&self, kind: &str, upstream_model: &str) -> Result<Listing> {
        let lines = self.prices_in_force().await?;
        lines
            .into_iter()
            .find(|line| is_for(line, kind, upstream_model))
            .ok_or_else(|| missing(kind, upstream_model))
    }

    /// Sets a price where operators have set none, over one that was shipped or where there is none.
    pub async fn create_price(
        &self,
        kind: &str,
        upstream_model: &str,
        change: PriceChange,
    ) -> Result<Listing> {
        let _alone = self.alone().await?;
        let own = self.own_prices().await?;
        if own.iter().any(|line| is_for(line, kind, upstream_model)) {
            let message = format!("a price of your own for {kind} {upstream_model} exists already");
            let exists = Error::new(ErrorKind::Conflict, message);
            return Err(exists.with_param("upstream_model").with_code("already_exists"));
        }
        if own.len() >= MOST {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("there are {MOST} prices already, the most"),
            ));
        }
        let mut rates = Rates::default();
        change.make(&mut rates);
        self.set_price(kind, upstream_model, rates, false).await?;
        self.price(kind, upstream_model).await
    }

    /// Changes a price. One that was shipped becomes one of the operators' own: it no longer follows the list that comes with the
    /// program, and has no rates of its own for long prompts.
    pub async fn update_price(
        &self,
        kind: &str,
        upstream_model: &str,
        change: PriceChange,
    ) -> Result<Listing> {
        let _alone = self.alone().await?;
        let mut rates = self.price(kind, upstream_model).await?.price.rates;
        change.make(&mut rates);
        self.set_price(kind, upstream_model, rates, false).await?;
        self.price(kind, upstream_model).await
    }

    /// Takes a price of the operators' own away: what was shipped holds again, if there is such a line.
    pub async fn delete_price(&self, kind: &str, upstream_model: &str) -> Result<()> {
        let _alone = self.alone().await?;
        let own = self.own_prices().await?;
        let line = own.iter().find(|line| is_for(line, kind, upstream_model));
        let line = line.ok_or_else(|| missing(kind, upstream_model))?;
        self.set_price(kind, upstream_model, line.price.rates, true).await
    }

    async fn set_price(&self, kind: &str, upstream_model: &str, rates: Rates, deleted: bool) -> Result<()> {
        let row = self.new_price(kind, upstream_model, rates, deleted)?;
        self.commit(vec![CatalogChange::SetPrice(Box::new(row))]).await
    }

    /// The row that sets a price, or takes it away.
    pub(super) fn new_price(
        &self,
        kind: &str,
        upstream_model: &str,
        rates: Rates,
        deleted: bool,
    ) -> Result<OwnPrice> {
        let now = self.clock.now();
        let row = OwnPrice {
            id: self.new_id(now),
            // The store's to give.
            version: 0,
            kind: kind.to_owned(),
            upstream_model: upstream_model.to_owned(),
            rates,
            deleted,
            created_at: now,
        };
        validate::price(&row)?;
        Ok(row)
    }

    async fn own_prices(&self) -> Result<Vec<Listing>> {
        let rows = self.store.prices().await.map_err(store_error)?;
        Ok(rows.iter().map(OwnPrice::listing).collect())
    }

    async fn prices_in_force(&self) -> Result<Vec<Listing>> {
        Ok(effective(self.own_prices().await?))
    }
}

fn is_for(line: &Listing, kind: &str, upstream_model: &str) -> bool {
    line.kind == kind && line.upstream_model == upstream_model
}

/// Names a line in a header, which takes ASCII alone.
fn token(line: &Listing) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}{SEPARATOR}{}", line.kind, line.upstream_model))
}

/// The kind and the model that [`token`] was made of.
fn last_of(token: &str) -> Option<(String, String)> {
    let name = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (kind, model) = name.split_once(SEPARATOR)?;
    Some((kind.to_owned(), model.to_owned()))
}

fn missing(kind: &str, upstream_model: &str) -> Error {
    let message = format!("a price for {kind} {upstream_model} does not exist");
    Error::new(ErrorKind::NotFound, message).with_param("upstream_model")
}
