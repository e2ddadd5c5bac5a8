//! What is seen on the board, and what the keys do.
use super::*;
use crate::commands::top::{
    board::{Act, Order},
    look::Snapshot,
};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyModifiers},
};

fn claim(id: u64, scope: &str, phase: &str, memory: Option<u64>) -> wire::Claim {
    let usage = memory.map(|memory| wire::UsageRow {
        memory_bytes: Some(memory),
        memory_peak_bytes: Some(2 * memory),
        cpu_milli: Some(id * 100),
        leak_bytes_per_second: (id == 3).then_some(1 << 20),
        ..wire::UsageRow::default()
    });
    let (scope, phase, class) = (scope.into(), phase.into(), "burstable".into());
    wire::Claim { id, scope, phase, class, usage, ..Default::default() }
}

fn board() -> Board {
    let claims = vec![
        claim(1, "team/a", "held", Some(64 << 20)),
        claim(2, "team/b", "pending", None),
        claim(3, "team/b", "held", Some(512 << 20)),
        claim(4, "gone", "closed", None),
    ];
    Board::new(Snapshot { claims, memory_pressure: Some(12.4), ..Snapshot::default() })
}

fn screen(board: &mut Board) -> String {
    let mut terminal = Terminal::new(TestBackend::new(120, 20)).expect("a terminal");
    terminal.draw(|frame| paint(frame, board)).expect("drawn");
    terminal.backend().to_string()
}

fn press(board: &mut Board, keys: &str) -> Act {
    let key = |letter: char| match letter {
        '\n' => KeyCode::Enter,
        '\t' => KeyCode::Tab,
        '<' => KeyCode::Backspace,
        letter => KeyCode::Char(letter),
    };
    keys.chars().map(|letter| board.press(key(letter), KeyModifiers::NONE)).last().expect("a key")
}

#[test]
fn who_uses_most_is_first_and_what_is_unknown_says_so() {
    let screen = screen(&mut board());
    let at = |word: &str| {
        screen.lines().position(|line| line.contains(word)).unwrap_or_else(|| panic!("{screen}"))
    };
    assert!(at(" 512M") < at(" 64M") && at(" 64M") < at("pending"), "{screen}");
    for word in ["leaks 1M/s", "held 2", "waiting 1", "stall 12%", "stall unknown"] {
        assert!(screen.contains(word), "{word} in {screen}");
    }
    assert!(!screen.contains("gone"), "closed ones are not shown: {screen}");
}

#[test]
fn keys_sort_filter_explain_and_end() {
    let mut board = board();
    assert_eq!(press(&mut board, "e"), Act::Explain(3));
    press(&mut board, "sss");
    assert_eq!((board.order, board.claims()[0].id), (Order::Newest, 3));
    press(&mut board, "/x<m/a\n");
    assert_eq!(board.claims().iter().map(|claim| claim.id).collect::<Vec<_>>(), [1]);
    assert_eq!(press(&mut board, "r"), Act::Nothing);
    assert!(screen(&mut board).contains("end claim 1"), "it asks first");
    assert_eq!(press(&mut board, "n"), Act::Nothing);
    assert_eq!(press(&mut board, "ry"), Act::End(1));
    press(&mut board, "\t");
    assert_eq!((board.tab, press(&mut board, "q")), (Tab::Scopes, Act::Leave));
    assert_eq!(board.press(KeyCode::Char('c'), KeyModifiers::CONTROL), Act::Leave);
}

#[test]
fn a_terminal_that_is_too_small_is_no_failure() {
    let mut board = board();
    for (width, height) in [(1, 1), (10, 3), (300, 4)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| paint(frame, &mut board)).expect("drawn");
    }
}
