//! Offers as text, for tests that make no connection.

/// The smallest offer of a player that receives H.264, over an address at which nobody is.
pub fn h264_offer() -> String {
    offer_of("96", "H264/90000")
}

/// The smallest offer of a player that receives one codec.
pub fn offer_of(payload_type: &str, codec: &str) -> String {
    let fingerprint = ["AB"; 32].join(":");
    [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        &format!("m=video 9 UDP/TLS/RTP/SAVPF {payload_type}"),
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:abcdefghijklmnopqrstuv",
        &format!("a=fingerprint:sha-256 {fingerprint}"),
        "a=setup:actpass",
        "a=mid:0",
        "a=recvonly",
        "a=rtcp-mux",
        &format!("a=rtpmap:{payload_type} {codec}"),
        &format!(
            "a=fmtp:{payload_type} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
        ),
        "",
    ]
    .join("\r\n")
}
