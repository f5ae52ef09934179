//! The part of a name that somebody registered.
//!
//! Contract: pure; names in lower case. Limits: a short list of registries (`co.uk`) and of providers whose customers have names below theirs, and no
//! public suffix list: customers of an unlisted one count together. Below a listed provider each full name stands for itself.

/// Second labels below which names are registered, under a country's domain.
const REGISTRIES: [&str; 12] = ["co", "com", "net", "org", "gov", "edu", "ac", "or", "ne", "go", "gob", "gouv"];
/// Providers below whose domains each customer has names of its own.
const PROVIDERS: [&str; 24] = [
    "akamaihd.net",
    "amazonaws.com",
    "appspot.com",
    "azureedge.net",
    "azurefd.net",
    "azurewebsites.net",
    "blob.core.windows.net",
    "cloudapp.net",
    "cloudfront.net",
    "digitaloceanspaces.com",
    "duckdns.org",
    "fastly.net",
    "firebaseio.com",
    "github.io",
    "gitlab.io",
    "herokuapp.com",
    "netlify.app",
    "ngrok-free.app",
    "ngrok.io",
    "pages.dev",
    "trycloudflare.com",
    "vercel.app",
    "web.app",
    "workers.dev",
];

/// Whether names are registered below this second label of a domain.
pub fn is_registry(top: &str, second: &str) -> bool {
    top.len() == 2 && REGISTRIES.contains(&second)
}

/// The registered domain of a name; the name itself where it is below a provider's, or has nothing below.
pub fn registered(name: &str) -> &str {
    let is_below = |provider: &&str| name.strip_suffix(*provider).is_some_and(|rest| rest.ends_with('.'));
    if PROVIDERS.iter().any(is_below) {
        return name;
    }
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let (Some(last), second, third) = (dots.next(), dots.next(), dots.next()) else { return name };
    let label = |from: Option<usize>, to: usize| name.get(from.map_or(0, |at| at + 1)..to).unwrap_or_default();
    let top = name.get(last + 1..).unwrap_or_default();
    let start = if is_registry(top, label(second, last)) { second.and(third) } else { second };
    let is_whole = second.is_none() || start.is_none();
    if is_whole { name } else { label(start, name.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_where_they_were_registered() {
        for (name, domain) in [
            ("example.com", "example.com"),
            ("a.b.example.com", "example.com"),
            ("www.shop.co.uk", "shop.co.uk"),
            ("shop.co.uk", "shop.co.uk"),
            ("a.shop.com.au", "shop.com.au"),
            ("db", "db"),
            ("printer.lan", "printer.lan"),
            ("x.s3.eu-west-1.amazonaws.com", "x.s3.eu-west-1.amazonaws.com"),
            ("d1.cloudfront.net", "d1.cloudfront.net"),
            ("cloudfront.net", "cloudfront.net"),
            ("notcloudfront.net", "notcloudfront.net"),
            ("", ""),
            ("..", "."),
        ] {
            assert_eq!(registered(name), domain, "{name}");
        }
    }
}
