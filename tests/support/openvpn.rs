//! First messages of real `OpenVPN` 2.6.14 programs, client and server in two network namespaces, with each kind of protection.
#![allow(dead_code, clippy::expect_used, missing_docs, reason = "helpers of tests: a failure ends the test")]

/// Which message, how it is protected, its bytes in hexadecimal.
type Message = (&'static str, &'static str, &'static str);

const MESSAGES: [Message; 12] = [
    ("client_v2", "none", "3819116c396469ccce0000000000"),
    ("server_v2", "none", "4092ab677aeaccc5b0010000000019116c396469ccce00000000"),
    ("client_v2", "tls_auth", "38ed0c54fd924996f0420357a6e2e5a539f274b9fdd22b98ba4c56d044000000016b083ee80000000000"),
    (
        "server_v2",
        "tls_auth",
        "40199737b38ad4c7522fea4db11f99f1722136d53763b716ce943c1f4c000000016b083ee80100000000ed0c54fd924996f0\
         00000000",
    ),
    (
        "client_v2",
        "tls_auth",
        "38a4785ec4652bc8ac329a208f8f7a95fe159f306696cd0e9bce08380d6fa31d85881b411b524a121c000000016b083ef900\
         00000000",
    ),
    (
        "server_v2",
        "tls_auth",
        "40fc66e9333266325fdab49955e6d84a8b52ed44ffa4fc997a82b1b4deed1dfeba6211a7b823b0bce4000000016b083ef901\
         00000000a4785ec4652bc8ac00000000",
    ),
    (
        "client_v2",
        "tls_auth",
        "38ed87eeee0beafbd57776e3f656a975e82461a592623cbe44109ec29bbbb4d0fab10bbf4839128c4003ce9eb6f91c2ad935\
         78bf710b3d6713b85aa847c3d6130a4dd548a8e20e62fa000000016b083ef10000000000",
    ),
    (
        "server_v2",
        "tls_auth",
        "40652ce2397384ad8c05966b1be0e2fd3d473d109cf7271709ebca2035776b17bd67e0f96b437d3a5d594a651e50416256f6\
         22f8261aa03c1a521627b64b6e1e8080a3d58b2493c610000000016b083ef10100000000ed87eeee0beafbd500000000",
    ),
    (
        "client_v2",
        "tls_crypt",
        "38d6ba8da248e4e257000000016b083f035bf76453a72c5670df8218dcf47359c3adbd462f36a8e17683533892b99efc1085\
         d10fab35",
    ),
    (
        "server_v2",
        "tls_crypt",
        "40b49f96500cac8652000000016b083f03dee4551a9cee148863b40451cc8110d7d13fa515bddba4bbdbb6f7331e31d824bd\
         02bf4ac9472f0d33622008798d392857",
    ),
    (
        "client_v3",
        "tls_crypt_v2",
        "501158735eff001bf50f0000016b083f0c72a7e52aaca1386960fa2f106b7354e6c74775a33319eedc7ec1a5b3c64260be28\
         f6c2dfcef59bc726374ed538226936db7aba233c5fe46b1cdff558a1d2a98467f8db9528e10ad81cfb90a6c563dfcc4faec2\
         455007d8bb45180a7c74ce7c054aa976272cb9c213e3d86aa8fbda0c9f545e126738d0b21a9ffb5f9cf04598ddbefd21aa67\
         004c3d2228d516471c6cbae5b00278ca30db2b5864ca30f55226b8cf0160bcb498e9bed93ee72a46626d45eaa2915aee0ab4\
         06a967874f0c97d1f1a31a6a762bf7f3dfa693d24c9f364f717e630f9137d0043483fcf3dd0b4662a4f331145e9ec81116ee\
         447a146091cd50d8cd799903e88e6de2402342beac5c981c3cf06ba2961341da1705a9668963c6315c0b788455831f1e5e8d\
         5d880b9791f4e35f7646c3b63708c128214d11b02ae2c077efdd84b8a86712e1f116196195868b8b20826f4a02c20fcf8287\
         cf012b",
    ),
    (
        "server_v2",
        "tls_crypt",
        "40ea2cd8ec2e93e3100f0000016b083f0b3fe3c76ba4d7371f9006fd42cf9f7a92057170f5ca2a68408cec4818245650f9cf\
         d6f8453ab67c8ae4f0f208f93f2e35ea",
    ),
];

/// All of them: which message, how it is protected, its bytes.
pub fn messages() -> impl Iterator<Item = (&'static str, &'static str, Vec<u8>)> {
    MESSAGES.iter().map(|(reset, protection, digits)| {
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
        (*reset, *protection, (0..digits.len()).step_by(2).map(byte).collect())
    })
}

/// As in a stream, behind its length.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(message.len()).expect("a short message");
    [&len.to_be_bytes(), message].concat()
}
