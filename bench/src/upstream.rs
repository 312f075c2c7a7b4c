//! The scripted upstream: a provider of OpenAI's kind that costs as little as it can and answers what a request's script says.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use orchestrator_base::clock::Clock;
use tokio::time::{Interval, MissedTickBehavior};

use crate::{
    script::{Script, answer},
    serve::{self, AnyError},
};

/// Serves until standard input ends.
pub(crate) fn run() -> io::Result<()> {
    serve::on_every_core(|listener| serve::http1(listener, respond))
}

type Answer = http_body_util::Either<Full<Bytes>, Chunks>;

async fn respond(request: Request<Incoming>) -> Result<Response<Answer>, AnyError> {
    let body = request.into_body().collect().await?.to_bytes();
    let Some((script, prompt)) = Script::find(&body) else {
        let mut response = Response::new(Answer::Left(Full::from("{\"error\":{\"message\":\"no script\"}}")));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    };
    let (content_type, answer) = if script.chunks == 0 {
        let text = answer::whole(&script, crc32fast::hash(prompt));
        ("application/json", Answer::Left(Full::from(text)))
    } else {
        let with_usage = memchr::memmem::find(&body, b"\"include_usage\":true").is_some();
        ("text/event-stream", Answer::Right(Chunks::new(script, with_usage)))
    };
    let mut response = Response::new(answer);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// A streamed answer.
struct Chunks {
    script: Script,
    with_usage: bool,
    filler: String,
    /// The next chunk's index; one more than there are chunks when all was said.
    next: u64,
    ticks: Option<Interval>,
    clock: Clock,
}

impl Chunks {
    fn new(script: Script, with_usage: bool) -> Self {
        let ticks = (script.pace_us > 0).then(|| {
            let mut ticks = tokio::time::interval(Duration::from_micros(script.pace_us));
            // An upstream that falls behind makes up for it: what is offered stays what was asked for.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            ticks
        });
        let filler = answer::chunk_filler(&script);
        Self { script, with_usage, filler, next: 0, ticks, clock: Clock::system() }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunks = self.script.chunks;
        if self.next > chunks {
            return Poll::Ready(None);
        }
        if self.next < chunks
            && let Some(ticks) = &mut self.ticks
        {
            ready!(ticks.poll_tick(context));
        }
        let index = self.next;
        self.next += 1;
        let event = if index == chunks {
            answer::end(self.with_usage)
        } else {
            answer::chunk(self.script.seq, index, self.clock.now().0, &self.filler)
        };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(event)))))
    }

    fn is_end_stream(&self) -> bool {
        self.next > self.script.chunks
    }
}
