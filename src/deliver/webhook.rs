//! HTTP POST, in the form that the receiver wants.

use std::io;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::http::{Answer, Client, Secret, secret};
use super::outcome::Outcome;
use super::receiver::Receiver;
use super::store::Delivery;
use crate::alert::render::chat::Template;
use crate::config::WebhookDestination;
use crate::time::Timestamp;

/// A webhook.
#[derive(Debug)]
pub struct Webhook {
    client: Client,
    template: Template,
    /// PagerDuty's integration key.
    key: Option<Secret>,
    /// Of the signature.
    secret: Option<Secret>,
}

impl Webhook {
    /// Reads the secrets' files.
    pub fn new(to: &WebhookDestination) -> io::Result<Self> {
        let key = to.key_file.as_deref().map(secret).transpose()?;
        let secret = to.secret_file.as_deref().map(secret).transpose()?;
        let client = Client::new(&to.http)?.hide(key.as_ref()).hide(secret.as_ref());
        Ok(Self { client, template: to.template, key, secret })
    }

    /// The key stands in no outbox.
    fn body(&self, delivery: &Delivery) -> Vec<u8> {
        let Some(key) = &self.key else { return delivery.body.clone() };
        let Ok(Value::Object(mut event)) = serde_json::from_slice(&delivery.body) else { return delivery.body.clone() };
        event.insert("routing_key".to_owned(), key.reveal().into());
        Value::Object(event).to_string().into_bytes()
    }

    /// Slack says what it means in the body, and other servers answer 200 with a page.
    fn own_word(&self, answer: &Answer) -> Option<Outcome> {
        let is_strange = self.template == Template::Slack && answer.status == 200 && answer.body.trim() != "ok";
        let why = || format!("{} answered 200, but not ok: is it Slack?", self.client.shown());
        is_strange.then(|| Outcome::Configuration { why: why() })
    }
}

impl Receiver for Webhook {
    fn send(&mut self, delivery: &Delivery, now: Timestamp) -> Outcome {
        let body = self.body(delivery);
        let mut headers = vec![
            ("Idempotency-Key", format!("{}-{}", delivery.id, delivery.update)),
            ("X-Hopwatch-Attempt", (delivery.attempts + 1).to_string()),
        ];
        if delivery.maybe_taken {
            headers.push(("X-Hopwatch-Redelivered", "true".to_owned()));
        }
        if let Some(signature) = self.secret.as_ref().and_then(|secret| signature(secret.reveal(), now, &body)) {
            headers.push(("X-Hopwatch-Signature", signature));
        }
        self.client.attempt("application/json", &headers, &body, |answer| self.own_word(answer))
    }
}

/// `t=SECONDS,v1=HEX`: HMAC-SHA-256 over `SECONDS.BODY`.
fn signature(secret: &str, now: Timestamp, body: &[u8]) -> Option<String> {
    let seconds = now.as_nanos() / 1_000_000_000;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("t={seconds},v1={hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_over_the_time_and_the_body() {
        // printf '1000.{"a":1}' | openssl dgst -sha256 -hmac key
        let signed = signature("key", Timestamp::from_secs(1000), br#"{"a":1}"#).expect("a key");
        assert_eq!(signed, "t=1000,v1=703e95d4ed8aa99f3cf59728e8680a5aef1eb7fb7c4e4c827051b950902ca353");
    }
}
