//! Cores that let go of calls which they have not begun: nobody may notice.

use tokio::io::AsyncReadExt as _;

use super::*;

/// Instead of an answer.
#[derive(Clone, Copy, Debug)]
enum Says {
    /// GOAWAY, and that it has begun none.
    GoAway,
    /// RST_STREAM with this code.
    Reset(u32),
    /// Nothing: the connection ends.
    Nothing,
}

const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;

/// A core that speaks just enough HTTP/2, frame by frame, and answers nothing.
async fn core_that(says: Says) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    task::spawn("unwilling core", async move {
        while let Ok((socket, _)) = listener.accept().await {
            task::spawn("its connection", async move {
                let _ = refuse(socket, says).await;
            });
        }
    });
    address
}

async fn refuse(mut socket: TcpStream, says: Says) -> std::io::Result<()> {
    // Empty SETTINGS.
    socket.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await?;
    socket.read_exact(&mut [0; "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()]).await?;
    loop {
        let mut head = [0; 9];
        socket.read_exact(&mut head).await?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        socket.read_exact(&mut vec![0; length]).await?;
        let is_headers = head[3] == 1;
        match says {
            _ if !is_headers => {}
            Says::GoAway => {
                socket.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0]).await?;
                // The last stream that was begun, and no error.
                socket.write_all(&[0; 8]).await?;
            }
            Says::Reset(code) => {
                socket.write_all(&[0, 0, 4, 3, 0]).await?;
                socket.write_all(&head[5..]).await?;
                socket.write_all(&code.to_be_bytes()).await?;
            }
            Says::Nothing => return Ok(()),
        }
    }
}

/// An edge before that core and a good one. Each is asked first every other time.
async fn beside_a_good_one(says: Says) -> (App, FakeCore) {
    let (unwilling, core) = (core_that(says).await, hello());
    let (good, _) = serve(&core, "127.0.0.1:0").await;
    (app(remote(&format!("http://{unwilling},http://{good}")).unwrap()), core)
}

#[tokio::test]
async fn a_call_that_a_core_says_it_has_not_begun_is_made_again_on_another() {
    for says in [Says::GoAway, Says::Reset(REFUSED_STREAM)] {
        let (app, core) = beside_a_good_one(says).await;
        for number in 1..=6 {
            let answer =
                ask(&app, request("POST", CHAT, &[("authorization", "Bearer k")], "{\"a\":1}")).await;
            assert_eq!(answer.status, 200, "{says:?}: {}", answer.text());
            let (asked, metadata) = core.last_seen();
            assert_eq!(
                (&*asked.body, metadata["authorization"].to_str().unwrap()),
                (&b"{\"a\":1}"[..], "Bearer k"),
                "{says:?}"
            );
            assert_eq!(core.seen.lock().unwrap().len(), number, "{says:?}: each once");
        }
        // So is an operator's.
        let admin = ask(&app, request("GET", "/admin/models", &[], "")).await;
        assert_eq!(admin.status, 500, "{says:?}: the good one has no such service: {}", admin.text());
    }
}

#[tokio::test]
async fn a_call_that_may_have_been_begun_is_not() {
    for says in [Says::Reset(INTERNAL_ERROR), Says::Nothing] {
        let (app, core) = beside_a_good_one(says).await;
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(ask(&app, request("POST", CHAT, &[], "{}")).await.status.as_u16());
        }
        statuses.sort_unstable();
        assert_eq!(statuses[..2], [200, 200], "{says:?}");
        assert!(statuses[2] >= 500 && statuses[3] >= 500, "{says:?}: {statuses:?}");
        assert_eq!(core.seen.lock().unwrap().len(), 2, "{says:?}");
    }
}

#[tokio::test]
async fn cores_that_all_refuse_are_asked_so_often_and_no_more() {
    let cores = [core_that(Says::GoAway).await, core_that(Says::GoAway).await];
    let app = app(remote(&format!("http://{},http://{}", cores[0], cores[1])).unwrap());
    let answer = timeout(PATIENCE, ask(&app, request("POST", CHAT, &[], "{}"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "1"));
}

/// A kernel takes connections for a process that does not; they are reset when it ends.
#[tokio::test]
async fn nothing_is_sent_to_a_core_that_has_not_said_a_word() {
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let core = hello();
    let (good, _) = serve(&core, "127.0.0.1:0").await;
    let app = app(remote(&format!("http://{},http://{good}", deaf.local_addr().unwrap())).unwrap());
    let asking = ask(&app, request("POST", CHAT, &[], "{}"));
    let ending = async {
        sleep(Duration::from_millis(300)).await;
        drop(deaf);
    };
    let (answer, ()) = tokio::join!(asking, ending);
    assert_eq!((answer.status.as_u16(), core.seen.lock().unwrap().len()), (200, 1));
}
