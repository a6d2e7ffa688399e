//! `yilian-node peers`: what each institution's nodes send, what was refused of it, and who is kept out.

use std::process::ExitCode;

use anyhow::{Result, bail};
use yilian_local::moment;
use yilian_spec::base::id::InstitutionId;
use yilian_spec::base::time::LedgerTime;

use super::HomeArgument;
use crate::conduct::{InstitutionConduct, disconnected};
use crate::home::Home;
use crate::operator::control::{self, Answer, Command, ControlError};

/// Arguments of `peers`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    home: Option<HomeArgument>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  yilian-node peers --home node
  yilian-node peers disconnect some-hospital --home node
  yilian-node peers disconnect some-hospital --reconnect --home node";

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Close all connections of an institution's nodes and admit none, also after a restart, until `--reconnect`.
    ///
    /// It is this node's decision alone. What the ledger decides about a member needs a ballot; this is for the time
    /// until then.
    Disconnect {
        /// The institution.
        institution: InstitutionId,
        /// Let it in again.
        #[arg(long)]
        reconnect: bool,
        #[command(flatten)]
        home: HomeArgument,
    },
}

pub(super) fn run(arguments: Arguments) -> Result<ExitCode> {
    match (arguments.action, arguments.home) {
        (Some(Action::Disconnect { institution, reconnect, home }), _) => {
            disconnect(&home, institution, !reconnect)
        }
        (None, Some(home)) => list(&home, arguments.json),
        (None, None) => bail!("which node? give its home with --home DIR, or in YILIAN_HOME"),
    }
}

fn disconnect(home: &HomeArgument, institution: InstitutionId, is_disconnected: bool) -> Result<ExitCode> {
    let command = Command::Disconnect { institution: institution.clone(), is_disconnected };
    match super::block_on(control::ask(&home.home, &command))? {
        Ok(Answer::Done { done }) => println!("{done}"),
        Ok(Answer::Failed { reason }) => bail!("{reason}"),
        Ok(other) => bail!("the node answered {other:?}"),
        Err(ControlError::NotRunning { .. }) => {
            // The lock, so that no node starts and reads the list meanwhile.
            let opened = Home::open(&home.home)?;
            let _lock = opened.lock_stopped()?;
            disconnected::change(&home.home, &institution, is_disconnected)?;
            let what = if is_disconnected { "admits no node of" } else { "admits the nodes of" };
            println!(
                "no node runs in {}; from its next start on it {what} {institution}",
                home.home.display()
            );
        }
        Err(error) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(home: &HomeArgument, is_json: bool) -> Result<ExitCode> {
    let institutions = match super::block_on(control::ask(&home.home, &Command::Peers))?? {
        Answer::Peers { institutions } => institutions,
        Answer::Failed { reason } => bail!("{reason}"),
        other => bail!("the node answered {other:?}"),
    };
    if is_json {
        println!("{}", serde_json::to_string_pretty(&institutions)?);
        return Ok(ExitCode::SUCCESS);
    }
    if institutions.is_empty() {
        println!("nobody has connected since the node started");
    }
    for institution in &institutions {
        print!("{}", describe(institution));
    }
    Ok(ExitCode::SUCCESS)
}

/// One institution, for people.
fn describe(conduct: &InstitutionConduct) -> String {
    let at = |ms: u64| moment::show(LedgerTime(ms));
    let mut lines = vec![format!("{}  {}", conduct.institution, standing(conduct))];
    for peer in &conduct.connected {
        lines.push(format!("  connected  {} at {} since {}", peer.peer, peer.address, at(peer.since_ms)));
    }
    if let (true, Some(address)) = (conduct.connected.is_empty(), &conduct.last_address) {
        let failure = conduct.last_failure.as_deref().unwrap_or("not connected");
        lines.push(format!("  last at    {address}: {failure}"));
    }
    for (topic, received) in &conduct.received {
        lines.push(format!("  received   {topic}: {} frames, {} bytes", received.frames, received.bytes));
    }
    for refused in &conduct.refused {
        lines.push(format!(
            "  refused    {}: {} times, first {}, last {}",
            refused.offence.says(),
            refused.count,
            at(refused.first_ms),
            at(refused.last_ms)
        ));
        lines.push(format!("    remedy   {}", refused.remedy));
    }
    lines.join("\n") + "\n"
}

fn standing(conduct: &InstitutionConduct) -> String {
    match (conduct.is_disconnected, conduct.shut_out_until_ms, conduct.connected.len()) {
        (true, _, _) => "disconnected by the operator".to_owned(),
        (false, Some(until_ms), _) => format!("shut out until {}", moment::show(LedgerTime(until_ms))),
        (false, None, 0) => "not connected".to_owned(),
        (false, None, 1) => "1 node connected".to_owned(),
        (false, None, count) => format!("{count} nodes connected"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conduct::{ConnectedPeer, Offence, Received, Refused};

    #[test]
    fn an_institution_is_described_with_what_it_sent_and_what_was_refused() {
        let conduct = InstitutionConduct {
            institution: "rude-hospital".to_owned(),
            connected: vec![ConnectedPeer {
                peer: "12D3".to_owned(),
                address: "/ip4/127.0.0.1/tcp/9".to_owned(),
                since_ms: 0,
            }],
            last_address: Some("/ip4/127.0.0.1/tcp/9".to_owned()),
            last_failure: None,
            since_ms: 0,
            received: [("part".to_owned(), Received { frames: 3, bytes: 7 })].into(),
            refused: vec![Refused {
                offence: Offence::FarRound,
                count: 41,
                first_ms: 0,
                last_ms: 1_000,
                remedy: Offence::FarRound.remedy(Some("rude-hospital")),
            }],
            shut_out_until_ms: None,
            is_disconnected: false,
        };
        let text = describe(&conduct);
        for part in
            ["1 node connected", "part: 3 frames, 7 bytes", "41 times", "peers disconnect rude-hospital"]
        {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let kept_out = InstitutionConduct { is_disconnected: true, ..conduct };
        assert!(describe(&kept_out).starts_with("rude-hospital  disconnected by the operator"));
    }
}
