//! The box of the search in a tree: what opens and closes it, and its keys.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    Popup, State, View,
    cursor::Motion,
    effect::Effect,
    popup::motion,
    search::{Job, Matched, Search},
    survey::{News, Survey},
};

/// Matches off the loop, if there is so much to match.
fn matching(job: Option<Job>) -> Vec<Effect> {
    job.map(Effect::Match).into_iter().collect()
}

impl State {
    /// Opens the search below the directory that is shown.
    pub(super) fn show_search(&mut self) -> Vec<Effect> {
        let id = self.next_survey();
        let View::Connect(view) = &self.view else {
            return Vec::new();
        };
        if view.remote.read.is_none() {
            self.complain("there is nothing to search yet: no directory is listed");
            return Vec::new();
        }
        let root = view.remote.path.clone();
        let mut search = Search::new(id, root.clone());
        search.cursor.set_page(self.layout.list, 0);
        self.popup = Some(Popup::Search(Box::new(search)));
        self.searching = Some(id);
        vec![Effect::Survey(Survey {
            id,
            roots: vec![root],
            names: true,
        })]
    }

    /// Ends the walk of a search that is no longer open, whatever closed it.
    pub(super) fn end_search(&mut self) -> Option<Effect> {
        let open = match &self.popup {
            Some(Popup::Search(search)) => Some(search.id),
            _ => None,
        };
        let ended = self.searching.take_if(|id| Some(*id) != open)?;
        Some(Effect::EndSurvey(ended))
    }

    pub(super) fn search_found(&mut self, id: u64, news: News) -> Vec<Effect> {
        if let Some(Popup::Search(search)) = &mut self.popup
            && search.id == id
        {
            search.found(news);
        }
        Vec::new()
    }

    pub(super) fn matched(&mut self, matched: Matched) -> Vec<Effect> {
        match &mut self.popup {
            Some(Popup::Search(search)) => matching(search.matched(matched)),
            _ => Vec::new(),
        }
    }

    /// Text that was pasted into the search.
    pub(super) fn search_for(&mut self, text: &str) -> Vec<Effect> {
        match &mut self.popup {
            Some(Popup::Search(search)) => matching(search.typed(text)),
            _ => Vec::new(),
        }
    }

    /// A key in the box.
    pub(super) fn search_key(&mut self, key: KeyEvent) -> Vec<Effect> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let (Some(Popup::Search(search)), View::Connect(view)) = (&mut self.popup, &mut self.view)
        else {
            return Vec::new();
        };
        let at = search.cursor.at();
        match key.code {
            KeyCode::Esc => return self.close(),
            KeyCode::Char('c' | 'g' | 'f') if control => return self.close(),
            KeyCode::Enter => {
                let Some((dir, entry)) = search.hit(at) else {
                    return Vec::new();
                };
                let (dir, name) = (dir.clone(), entry.name.clone());
                self.popup = None;
                return view.remote.open_at(dir, &name);
            }
            KeyCode::Char(' ') => {
                if let Some((dir, entry)) = search.hit(at) {
                    view.remote.toggle_mark(dir, entry);
                    search.cursor.apply(Motion::Down, search.len());
                }
            }
            KeyCode::Backspace => {
                return matching(search.erase(false));
            }
            KeyCode::Char('w' | 'u') if control => {
                return matching(search.erase(true));
            }
            KeyCode::Char(c) if !control => {
                return matching(search.typed(c.encode_utf8(&mut [0; 4])));
            }
            _ => {
                if let Some(motion) = motion(key) {
                    search.cursor.apply(motion, search.len());
                }
            }
        }
        Vec::new()
    }
}
