//! Container images from installed Debian packages, as no registry can be reached.
//!
//! Contract: an image holds the named programs, the libraries that `ldd` lists for them, and a few files. Limits: programs
//! that load libraries by name at run time would miss them. Design: `docker import` of a tar archive, one layer an image.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::far;
use crate::netns::{HOME, World};
use crate::process;

/// What goes into an image besides busybox.
pub struct Image {
    pub name: &'static str,
    pub programs: &'static [&'static str],
    /// Files and folders of the machine, by glob, that are copied as they are.
    pub copies: &'static [&'static str],
    /// Files with their content.
    pub files: &'static [(&'static str, &'static str)],
    /// Folders that must exist, writable by everybody.
    pub folders: &'static [&'static str],
    /// What it runs; nothing: the scenario says it, or it sleeps.
    pub entrypoint: &'static str,
}

const PASSWD: &str = "root:x:0:0:root:/:/bin/sh\nproxy:x:13:13::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n";
const GROUP: &str = "root:x:0:\nproxy:x:13:\nnogroup:x:65534:\nnobody:x:65534:\n";

const SQUID: &str = "http_port 3128
acl local_networks src all
http_access allow all
cache deny all
cache_mem 4 MB
max_filedescriptors 1024
access_log none
cache_log /dev/null
cache_store_log none
pinger_enable off
pid_filename none
shutdown_lifetime 0 seconds
";

const NGINX: &str = "user root; worker_processes 1; daemon off; pid /tmp/nginx.pid; error_log stderr;
events { worker_connections 64; }
http { access_log off; client_body_temp_path /tmp/b; proxy_temp_path /tmp/p; fastcgi_temp_path /tmp/f;
  uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
  server { listen 80; location / { default_type text/plain; return 200 \"hello from inside\\n\"; } } }
";

const RSYSLOG: &str = "module(load=\"imudp\")
input(type=\"imudp\" port=\"514\")
action(type=\"omfile\" file=\"/tmp/got\")
";

const IMAGES: &[Image] = &[
    Image { name: "busybox", programs: &[], copies: &[], files: &[], folders: &[], entrypoint: "" },
    Image {
        name: "tools",
        programs: &["/usr/bin/tcpdump", "/usr/sbin/arpspoof", "/usr/bin/nsenter", "/usr/sbin/ip"],
        copies: &[],
        files: &[],
        folders: &[],
        entrypoint: "",
    },
    Image { name: "curl", programs: &["/usr/bin/curl"], copies: &[], files: &[], folders: &[], entrypoint: "" },
    Image {
        name: "squid",
        programs: &["/usr/sbin/squid", "/usr/lib/squid/unlinkd"],
        copies: &["/usr/share/squid/mime.conf", "/usr/share/squid/errors/templates", "/etc/squid/errorpage.css"],
        files: &[("etc/squid/lab.conf", SQUID)],
        folders: &["var/spool/squid", "var/log/squid", "usr/share/squid/icons"],
        entrypoint: r#"["squid","-N","-f","/etc/squid/lab.conf"]"#,
    },
    Image {
        name: "dnsmasq",
        programs: &["/usr/sbin/dnsmasq"],
        copies: &[],
        files: &[],
        folders: &[],
        entrypoint: r#"["dnsmasq","--keep-in-foreground","--user=root","--pid-file=","--no-resolv","--no-hosts","--conf-file=/dev/null","--server=203.0.113.53"]"#,
    },
    Image {
        name: "nginx",
        programs: &["/usr/sbin/nginx"],
        copies: &[],
        files: &[("etc/nginx/lab.conf", NGINX)],
        folders: &["var/lib/nginx", "var/log/nginx"],
        entrypoint: r#"["nginx","-e","stderr","-c","/etc/nginx/lab.conf"]"#,
    },
    Image {
        name: "gateway",
        programs: &["/usr/sbin/iptables", "/usr/sbin/ip"],
        copies: &["/usr/lib/*/xtables"],
        files: &[],
        folders: &["run"],
        entrypoint: "",
    },
    Image {
        name: "rsyslog",
        programs: &["/usr/sbin/rsyslogd"],
        copies: &["/usr/lib/*/rsyslog"],
        files: &[("etc/rsyslog-lab.conf", RSYSLOG)],
        folders: &["var/spool/rsyslog"],
        entrypoint: r#"["rsyslogd","-n","-i","NONE","-f","/etc/rsyslog-lab.conf"]"#,
    },
    Image {
        name: "haproxy",
        programs: &["/usr/sbin/haproxy"],
        copies: &[],
        files: &[],
        folders: &["etc/haproxy"],
        entrypoint: r#"["haproxy","-db","-f","/etc/haproxy/lab.cfg"]"#,
    },
];

fn all() -> impl Iterator<Item = &'static Image> {
    IMAGES.iter().chain(far::IMAGES)
}

/// Whether a container of this image has nothing to run by itself.
pub fn is_idle(name: &str) -> bool {
    all().any(|image| image.name == name && image.entrypoint.is_empty())
}

/// Makes all images known to the daemon.
pub fn build(world: &World) -> Result<()> {
    for image in all() {
        import(world, image).with_context(|| format!("cannot make the image {}", image.name))?;
    }
    Ok(())
}

fn import(world: &World, image: &Image) -> Result<()> {
    let stage = format!("image-{}", image.name);
    let root = world.path(&stage);
    let name = image.name;
    base(world, &stage)?;
    for program in image.programs {
        copy(Path::new(program), &root)?;
        for library in libraries(program)? {
            copy(&library, &root)?;
        }
    }
    let mut script = String::new();
    for path in image.copies {
        let _ = writeln!(script, "for p in {path}; do d={HOME}/{stage}$(dirname $p); mkdir -p $d; cp -rL $p $d/; done");
    }
    for folder in image.folders {
        let _ = writeln!(script, "mkdir -p {HOME}/{stage}/{folder}; chmod 1777 {HOME}/{stage}/{folder}");
    }
    for (path, content) in image.files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(&root))?;
        std::fs::write(path, content)?;
    }
    let change = if image.entrypoint.is_empty() { String::new() } else { format!("ENTRYPOINT {}", image.entrypoint) };
    let _ = writeln!(
        script,
        "tar -C {HOME}/{stage} -c . | docker import --change 'ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' \
         ${{1:+--change \"$1\"}} - {name}:lab >/dev/null; rm -rf {HOME}/{stage}"
    );
    let mut command = world.command("sh");
    process::output(command.args(["-e", "-c", &script, "sh", &change]), Duration::from_mins(1))?;
    Ok(())
}

/// What every image has: busybox with all its names, users, and the usual folders.
fn base(world: &World, stage: &str) -> Result<()> {
    world.script(&format!(
        "mkdir -p {HOME}/{stage}; cd {HOME}/{stage}; mkdir -p bin sbin usr/bin usr/sbin etc tmp var/run; chmod 1777 tmp
         cp -L $(command -v busybox) bin/busybox; for name in $(busybox --list | grep -vx busybox); do ln -sf /bin/busybox bin/$name; done"
    ))?;
    std::fs::write(world.path(stage).join("etc/passwd"), PASSWD)?;
    std::fs::write(world.path(stage).join("etc/group"), GROUP)?;
    Ok(())
}

fn copy(path: &Path, root: &Path) -> Result<()> {
    let target = root.join(path.strip_prefix("/")?);
    std::fs::create_dir_all(target.parent().unwrap_or(root))?;
    std::fs::copy(path, &target).with_context(|| format!("cannot copy {}", path.display()))?;
    Ok(())
}

/// The absolute paths in what `ldd` says.
fn libraries(program: &str) -> Result<BTreeSet<PathBuf>> {
    let listed = process::output(Command::new("ldd").arg(program), Duration::from_secs(10))?;
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(paths.collect())
}
