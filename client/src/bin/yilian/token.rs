//! `yilian token`: a token for requests that another program makes.

use clap::Args;
use yilian_client::error::exit;
use yilian_local::moment;
use yilian_spec::base::limits::TOKEN_LIFETIME_S_MAX;

use crate::context::Context;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::parse;

/// How long a token holds, unless the caller says otherwise: for some requests by hand.
const LIFETIME: &str = "5m";

/// Print a token for requests to the profile's first node, such as with curl.
///
/// The node's API takes it as `Authorization: Bearer TOKEN`. Whoever has it can ask that node, and no other, in the name of
/// the institution until it expires; what it can submit must be signed all the same. The paths are in /v1/openapi.json.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  yilian token\n  yilian token --node http://127.0.0.1:8600 --for 1m --json\n  curl -H \"Authorization: Bearer $(yilian token)\" http://127.0.0.1:8600/v1/grants"
)]
pub struct Token {
    /// How long it holds, at most 5m.
    #[arg(long = "for", value_name = "LENGTH", default_value = LIFETIME, value_parser = parse::length_ms)]
    lifetime_ms: u64,
}

impl Token {
    /// Runs the command.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn run(self, context: &Context) -> Outcome {
        let lifetime_s = self.lifetime_ms / 1_000;
        if !(1..=TOKEN_LIFETIME_S_MAX).contains(&lifetime_s) {
            let bound = format!("a token holds for 1 s to {TOKEN_LIFETIME_S_MAX} s: give such a --for");
            return Err(Failure::Usage(bound));
        }
        let token = context.client(None).await?.token(lifetime_s).await?;
        if context.json() {
            output::print_json(&token);
        } else {
            output::print_line(&token.token);
            output::note(&format!("for {} alone, until {}", token.node, moment::show(token.expires)));
        }
        Ok(exit::OK)
    }
}
