//! gRPC calls whose messages are bytes: the admin transcoder and the readiness probe bring their own encoding.

use bytes::{Buf as _, BufMut as _, Bytes};
use http::uri::PathAndQuery;
use tonic::{
    Request, Status, Streaming,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
};

use super::{Again, CoreChannel};

/// The largest answer that a unary call may bring: a page of 1,000 resources is far below it.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Calls `path` ("/package.Service/Method") with an encoded message and gives the encoded answer.
pub(crate) async fn unary(
    core: &CoreChannel,
    path: PathAndQuery,
    metadata: MetadataMap,
    message: Bytes,
) -> Result<Bytes, Status> {
    let mut again = Again::default();
    loop {
        match unary_request(core, path.clone(), call(&metadata, &message)).await {
            Ok(answer) => return Ok(answer),
            Err(status) if again.may(&status) => {}
            Err(status) => return Err(status),
        }
    }
}

/// The same, for a request that says more.
pub(super) async fn unary_request(
    core: &CoreChannel,
    path: PathAndQuery,
    request: Request<Bytes>,
) -> Result<Bytes, Status> {
    let mut grpc = tonic::client::Grpc::new(core.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
    grpc.ready().await?;
    let answer = grpc.unary(request, path, RawCodec).await?;
    Ok(answer.into_inner())
}

/// Calls `path` with an encoded message and gives the encoded messages that come back.
pub(crate) async fn server_streaming(
    core: &CoreChannel,
    path: PathAndQuery,
    metadata: MetadataMap,
    message: Bytes,
) -> Result<Streaming<Bytes>, Status> {
    let mut grpc = tonic::client::Grpc::new(core.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
    let mut again = Again::default();
    loop {
        grpc.ready().await?;
        match grpc.server_streaming(call(&metadata, &message), path.clone(), RawCodec).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if again.may(&status) => {}
            Err(status) => return Err(status),
        }
    }
}

fn call(metadata: &MetadataMap, message: &Bytes) -> Request<Bytes> {
    let mut request = Request::new(message.clone());
    *request.metadata_mut() = metadata.clone();
    request
}

/// A message is its bytes.
#[derive(Clone, Copy)]
pub(crate) struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
