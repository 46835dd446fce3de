"""ABC 2.1: the notes of one voice, its chord symbols, parts and tempi; https://abcnotation.com/wiki/abc:standard:v2.1"""
