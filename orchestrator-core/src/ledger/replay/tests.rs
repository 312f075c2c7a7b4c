//! Processes that die at any point, and what the database holds in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::Write as _,
    sync::Mutex,
};

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;
use crate::store::{JournalOffset, StoreError};

/// What befalls the database at a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    #[default]
    Stores,
    /// It is away.
    Away,
    /// It stores, and the process never hears of it.
    StoresUnheard,
}

/// A database of several journals.
#[derive(Default)]
struct Memory {
    rows: Mutex<BTreeMap<String, Vec<String>>>,
    offsets: Mutex<BTreeMap<String, JournalOffset>>,
    fate: Mutex<Fate>,
}

#[async_trait]
impl LogStore for Memory {
    async fn offset(&self, journal: &str) -> Result<JournalOffset, StoreError> {
        Ok(self.offsets.lock().unwrap().get(journal).copied().unwrap_or_default())
    }

    /// Counts each time that a record comes, so that a second time shows.
    async fn append(
        &self,
        journal: &str,
        records: &[RequestRecord],
        upto: JournalOffset,
    ) -> Result<(), StoreError> {
        let fate = *self.fate.lock().unwrap();
        if fate == Fate::Away {
            return Err(StoreError::Unavailable("away".into()));
        }
        let mut offsets = self.offsets.lock().unwrap();
        let offset = offsets.entry(journal.to_owned()).or_default();
        if upto > *offset {
            *offset = upto;
            let mut rows = self.rows.lock().unwrap();
            for record in records {
                rows.entry(record.id.clone()).or_default().push(record.outcome.clone());
            }
        }
        match fate {
            Fate::StoresUnheard => Err(StoreError::Unavailable("it is not known what became of it".into())),
            _ => Ok(()),
        }
    }
}

/// What happens, one after the other.
#[derive(Clone, Debug)]
enum Event {
    /// A stream begins.
    Open,
    /// The oldest stream that runs ends.
    End,
    /// A whole answer.
    Whole,
    /// The writer works, and the database does this.
    Write(Fate),
    /// The process dies: between two writes, or in the middle of one.
    Die { torn: bool },
    /// The process dies while it starts: it has closed so many of the streams that the one before left open.
    DieStarting(usize),
    /// The segments cannot be followed by another for a while: lines go on in the old one.
    FullFolder(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Open),
        3 => Just(Event::End),
        3 => Just(Event::Whole),
        4 => prop_oneof![4 => Just(Fate::Stores), 1 => Just(Fate::Away), 1 => Just(Fate::StoresUnheard)]
            .prop_map(Event::Write),
        1 => any::<bool>().prop_map(|torn| Event::Die { torn }),
        1 => (0usize..3).prop_map(Event::DieStarting),
        1 => any::<bool>().prop_map(Event::FullFolder),
    ]
}

/// A process with its journal, and what it must be found to have done.
struct World {
    folder: tempfile::TempDir,
    store: Arc<Memory>,
    running: Option<(Arc<Journal>, Writer)>,
    streams: Vec<String>,
    next: usize,
    ended: BTreeSet<String>,
    cut: BTreeSet<String>,
}

fn settings() -> config::Journal {
    config::Journal { segment_bytes: 700, ..config::Journal::default() }
}

fn record(id: &str) -> Arc<RequestRecord> {
    Arc::new(RequestRecord {
        id: id.to_owned(),
        outcome: "ok".into(),
        stream: true,
        ..RequestRecord::default()
    })
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            store: Arc::default(),
            running: None,
            streams: Vec::new(),
            next: 0,
            ended: BTreeSet::new(),
            cut: BTreeSet::new(),
        }
    }

    fn open_journal(&self) -> Arc<Journal> {
        Arc::new(Journal::open(self.folder.path(), "core", Uuid::nil(), &settings()).unwrap())
    }

    async fn start(&mut self) {
        let journal = self.open_journal();
        let writer = Writer::start(Arc::clone(&journal), self.store.clone()).await.unwrap();
        self.running = Some((journal, writer));
    }

    fn die(&mut self, torn: bool) {
        self.move_folder(false);
        let (journal, writer) = self.running.take().unwrap();
        if torn {
            let path = journal.segment_path(journal.current_segment());
            let mut file = OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"{\"close\":{\"id\":\"half a li").unwrap();
        }
        drop((journal, writer));
        self.cut.extend(self.streams.drain(..));
    }

    /// Moves the folder away from where segments are made, or back.
    fn move_folder(&self, away: bool) {
        let (here, there) = (self.folder.path().join("core"), self.folder.path().join("moved"));
        let (from, to) = if away { (here, there) } else { (there, here) };
        if from.exists() {
            fs::rename(from, to).unwrap();
        }
    }

    fn new_id(&mut self) -> String {
        self.next += 1;
        format!("{:04}", self.next)
    }

    async fn happen(&mut self, event: Event) {
        let journal = Arc::clone(&self.running.as_ref().unwrap().0);
        match event {
            Event::Open => {
                let id = self.new_id();
                journal.open_record(&record(&id));
                self.streams.push(id);
            }
            Event::End => {
                if !self.streams.is_empty() {
                    let id = self.streams.remove(0);
                    journal.close_record(&record(&id));
                    self.ended.insert(id);
                }
            }
            Event::Whole => {
                let id = self.new_id();
                journal.close_record(&record(&id));
                self.ended.insert(id);
            }
            Event::Write(fate) => {
                *self.store.fate.lock().unwrap() = fate;
                // What fails is tried again: at another event, or by another process.
                let _ = self.running.as_mut().unwrap().1.step().await;
                *self.store.fate.lock().unwrap() = Fate::Stores;
            }
            Event::Die { torn } => {
                drop(journal);
                self.die(torn);
                self.start().await;
            }
            Event::DieStarting(closed) => {
                drop(journal);
                // Those of earlier processes were closed when this one started.
                let left = self.streams.clone();
                self.die(false);
                let journal = self.open_journal();
                for id in left.iter().take(closed) {
                    journal.close_record(&Arc::new(cut(RequestRecord::clone(&record(id)))));
                }
                drop(journal);
                self.start().await;
            }
            Event::FullFolder(full) => self.move_folder(full),
        }
    }

    async fn settle(&mut self) {
        self.die(false);
        self.start().await;
        let writer = &mut self.running.as_mut().unwrap().1;
        while writer.step().await.unwrap() != Step::Nothing {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn whenever_processes_die_every_request_is_stored_once_and_every_cut_stream_as_truncated(
        events in prop::collection::vec(event(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            world.start().await;
            for event in events {
                world.happen(event).await;
            }
            world.settle().await;
            let expected: BTreeMap<_, _> = world
                .ended
                .iter()
                .map(|id| (id.clone(), vec!["ok".to_owned()]))
                .chain(world.cut.iter().map(|id| (id.clone(), vec!["truncated".to_owned()])))
                .collect();
            prop_assert_eq!(&*world.store.rows.lock().unwrap(), &expected);
            let (journal, _) = world.running.as_ref().unwrap();
            prop_assert_eq!(journal.segments().unwrap(), vec![journal.current_segment()]);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_journal_of_a_core_that_is_gone_is_stored_once_and_one_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Memory::default());
    let open = |name: &str| Arc::new(Journal::open(folder.path(), name, Uuid::nil(), &settings()).unwrap());
    let gone = open("gone");
    gone.close_record(&record("a"));
    gone.open_record(&record("b"));
    drop(gone);
    let busy = open("busy");
    busy.close_record(&record("c"));
    let own = open("core");
    own.close_record(&record("d"));
    for _ in 0..3 {
        adopt(folder.path(), "core", &settings(), store.clone(), &CancellationToken::new()).await;
    }
    let rows = store.rows.lock().unwrap().clone();
    let expected = [("a", "ok"), ("b", "truncated")].map(|(id, word)| (id.to_owned(), vec![word.to_owned()]));
    assert_eq!(rows, expected.into());
    assert_eq!(fs::read_dir(folder.path().join("gone")).unwrap().count(), 3, "its lock, its name, a segment");
}

#[tokio::test]
async fn a_journal_whose_files_were_taken_away_goes_on_behind_what_the_database_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Memory::default());
    let far = JournalOffset { segment: 57, position: 1000 };
    store.offsets.lock().unwrap().insert(format!("core-{}", Uuid::nil()), far);
    let journal = Arc::new(Journal::open(folder.path(), "core", Uuid::nil(), &settings()).unwrap());
    let mut writer = Writer::start(Arc::clone(&journal), store.clone()).await.unwrap();
    journal.close_record(&record("a"));
    while writer.step().await.unwrap() != Step::Nothing {}
    assert_eq!(store.rows.lock().unwrap().len(), 1);
}
