"""MusicXML lead sheets: one part's notes and harmonies, rehearsal marks, tempi; https://www.w3.org/2021/06/musicxml40/"""
